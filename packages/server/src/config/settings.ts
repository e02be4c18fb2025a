import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { defaultMqttOptions, type Redirect } from "../mqtt/MqttOptions.ts"
import { clientCertificates, principalNames } from "../net/tls/TlsOptions.ts"
import { durationMs, hostAndPort, ratio, sizeBytes, truth, wholeNumber } from "./values.ts"

export type SettingValue = string | number | boolean | { readonly host: string; readonly port: number } | null

/** A setting, under one path in every source. */
export interface Setting {
  /** In the file: `journal.segmentBytes` is `segmentBytes` in the section `journal`. */
  readonly path: string
  /** `LOGBROOK_JOURNAL_SEGMENT_BYTES` */
  readonly env: string
  /** Without its dashes; undefined for limits, which have none. */
  readonly flag: string | undefined
  readonly byDefault: SettingValue
  /** The look of a value, for errors and documentation. */
  readonly expects: string
  /** Undefined: the value is none of this setting's. `source`: how it is written, if that is not the value itself. */
  readonly parse: (value: unknown, source?: string) => SettingValue | undefined
  /** Empty for limits, whose descriptions are those of `Limits`. */
  readonly documentation: string
}

export type Kind = Pick<Setting, "expects" | "parse">

const between = (parse: (value: unknown) => number | undefined, min: number, max: number, expects: string): Kind => ({
  expects,
  parse: (value) => {
    const number = parse(value)
    return number !== undefined && number >= min && number <= max ? number : undefined
  }
})

export const port = between(wholeNumber, 0, 65_535, "a port, 0 to 65535")
const portOrNone: Kind = {
  expects: `${port.expects}, or none`,
  parse: (value) => (value === null || value === "none" ? null : port.parse(value))
}
const duration = (min: number, max = Number.MAX_SAFE_INTEGER): Kind => {
  const least = min > 0 ? ", above 0" : ""
  const most = max === Number.MAX_SAFE_INTEGER ? "" : `, ${max}ms at most`
  return between(durationMs, min, max, `a duration such as 500ms, 30s or 7d${least}${most}`)
}
const size = (min: number, max = Number.MAX_SAFE_INTEGER): Kind => {
  const least = min === 0 ? "" : min === 1 ? ", above 0" : `, ${min} bytes at least`
  const most = max === Number.MAX_SAFE_INTEGER ? "" : `, ${max} bytes at most`
  return between(sizeBytes, min, max, `a size such as 64KiB or 512MB${least}${most}`)
}
export const count = (min: number, max = Number.MAX_SAFE_INTEGER): Kind => {
  const range = max === Number.MAX_SAFE_INTEGER ? `, ${min} at least` : `, ${min} to ${max}`
  return between(wholeNumber, min, max, `a whole number${range}`)
}
const share: Kind = { expects: "a number from 0 to 1", parse: ratio }
export const yesOrNo: Kind = { expects: "true or false", parse: truth }
export const textOf = (expects: string): Kind => ({
  expects,
  parse: (value) => (typeof value === "string" && value !== "" && value.length <= 4096 ? value : undefined)
})
export const address: Kind = {
  expects: "host:port, such as broker.example.org:9092",
  parse: (value) => (value === null ? null : hostAndPort(value))
}
const softwareNames: Kind = {
  expects: "names of letters, digits, - and . with commas between them",
  parse: (value) =>
    typeof value === "string" && value.length <= 4096 && /^[a-zA-Z0-9.-]+(, ?[a-zA-Z0-9.-]+)*$/.test(value)
      ? value.replaceAll(" ", "")
      : undefined
}
export const origins: Kind = {
  expects: "local, any, or origins such as https://app.example.org with commas between them",
  parse: (value) =>
    typeof value === "string" &&
    value.length <= 4096 &&
    /^(local|any|https?:\/\/[^\s,/]+(, ?https?:\/\/[^\s,/]+)*)$/.test(value)
      ? value.replaceAll(" ", "").toLowerCase()
      : undefined
}
export const oneOf = (...values: ReadonlyArray<string>): Kind => ({
  expects: values.join(", "),
  parse: (value) => values.find((each) => each === value)
})
/** A level for each client is to follow, and room for a client id, whose wildcards and slashes take three bytes each. */
const topicPrefix: Kind = {
  expects: "a topic of up to 200 bytes without wildcards that does not begin with $, such as responses",
  parse: (value) =>
    value === null ||
    (typeof value === "string" &&
      value !== "" &&
      Buffer.byteLength(value) <= 200 &&
      value.isWellFormed() &&
      !/^\$|[+#\0]|\/$/.test(value))
      ? value
      : undefined
}
const reference: Kind = {
  expects: "host:port, or several with spaces between them, such as other.example.org:1883",
  parse: (value) =>
    value === null || (typeof value === "string" && value.length <= 1000 && /^[!-~]+( [!-~]+)*$/.test(value))
      ? value
      : undefined
}
/** A setting of files that has no default. */
export const pathOrNone: Kind = {
  expects: "the path of a file",
  parse: (value) => (value === null ? null : textOf("").parse(value))
}
export const clientCertificatesKind: Kind = oneOf(...clientCertificates)
export const principalKind: Kind = oneOf(...principalNames)
const redirects: ReadonlyArray<Redirect> = ["no", "temporarily", "permanently"]

/** `journal.segmentBytes` in another case: `JOURNAL_SEGMENT_BYTES`, `journal-segment-bytes`. */
const words = (path: string, between: string): string =>
  path.replaceAll(/[A-Z]/g, (letter) => between + letter.toLowerCase()).replaceAll(".", between)

const setting = (path: string, kind: Kind, byDefault: SettingValue, documentation: string): Setting => ({
  path,
  env: `LOGBROOK_${words(path, "_").toUpperCase()}`,
  flag: path.startsWith("limits.") ? undefined : words(path, "-"),
  byDefault,
  ...kind,
  documentation
})

/** Limits that are settings under another name. */
const renamedLimits: ReadonlySet<keyof Limits> = new Set(["segmentBytesMax", "commitPacingMs"])

/** Limits of which none at all is a sensible amount. */
const mayBeZero: ReadonlySet<keyof Limits> = new Set([
  "sessionExpiryMsMax",
  "willDelayMsMax",
  "retainedMessagesMax",
  "retainedBytesMax",
  "offlineQueueMessagesMax",
  "offlineQueueBytesMax",
  "userPropertiesMax",
  "userPropertiesBytesMax",
  "topicAliasesMax",
  "fetchWaitMsMax",
  "kafkaFetchSessionsMax",
  "tailBytesMax",
  "diskReserveBytesMin",
  "diskReserveRatioMin",
  "clockHoldMs"
])

/** The greatest values: what the protocols' own fields can hold, and how deep topics may be looked up by recursion. */
const highest: ReadonlyMap<keyof Limits, number> = new Map<keyof Limits, number>([
  ["receiveMaximum", 65_535],
  ["inflightPerSessionMax", 65_535],
  ["topicAliasesMax", 65_535],
  ["clientIdBytesMax", 65_535],
  ["topicBytesMax", 65_535],
  ["topicLevelsMax", 1000],
  ["mqttPacketBytesMax", 268_435_460],
  ["kafkaRequestBytesMax", 0x7fff_ffff],
  ["recordBatchBytesMax", 0x7fff_ffff],
  ["fetchBytesMax", 0x7fff_ffff],
  ["transactionTimeoutMsMax", 0x7fff_ffff]
])

/** Below what a socket takes before it tells that it is full, nobody would tell when there is room again. */
const lowest: ReadonlyMap<keyof Limits, number> = new Map<keyof Limits, number>([
  ["slowConsumerUnsentBytesMax", 128 * 1024]
])

const limitKind = (name: keyof Limits): Kind => {
  const min = mayBeZero.has(name) ? 0 : (lowest.get(name) ?? 1)
  if (/Ms(Max|Min)?$/.test(name)) return duration(min, highest.get(name))
  if (/Bytes(Max|Min)?$/.test(name)) return size(min, highest.get(name))
  if (name === "diskReserveRatioMin") return share
  return count(min, highest.get(name))
}

const limitNames = (Object.keys(defaultLimits) as Array<keyof Limits>).filter((name) => !renamedLimits.has(name))

export const proxyProtocol =
  "Every connection comes through a load balancer and begins with a PROXY header (HAProxy's PROXY protocol, version 1 or 2), which tells the client's address; one without is closed. Nobody but the load balancer should reach the port then."

export const tlsHere =
  "TLS 1.2 and 1.3, with the certificate of the section `tls` ([how](security.md)). Clients in plain text are closed then."

/** Everything that can be set, in the order of the documentation. */
export const settings: ReadonlyArray<Setting> = [
  setting(
    "dataDir",
    textOf("the path of a directory, such as ./data"),
    "./data",
    "Where the journal is. Made if it is not there."
  ),
  setting(
    "host",
    textOf("an address or a host name, such as 127.0.0.1"),
    "127.0.0.1",
    "The address to listen on, for every protocol."
  ),
  setting(
    "insecureListen",
    yesOrNo,
    false,
    "Listen on an address that others can reach, although nobody is authenticated."
  ),
  setting(
    "tls.cert",
    pathOrNone,
    null,
    "The server's certificate in PEM, with the chain behind it up to what clients trust. This and the other files are read again when they change, and on SIGHUP; one that cannot be used changes nothing."
  ),
  setting("tls.key", pathOrNone, null, "Its private key in PEM, without a passphrase."),
  setting(
    "tls.clientCa",
    pathOrNone,
    null,
    "The authorities in PEM whose client certificates are taken, for `tls.clientCertificates`."
  ),
  setting(
    "tls.clientCertificates",
    clientCertificatesKind,
    "off",
    "Whether clients are asked for a certificate: `off`, `optional` (one that is given has to be good) or `required`."
  ),
  setting(
    "tls.principal",
    principalKind,
    "cn",
    "The name in a client's certificate that is its principal, the same for MQTT, Kafka and HTTP: the subject's common name (`cn`), or the first alternative name of a kind (`dns`, `email`, `uri`). A certificate without it is refused."
  ),
  setting(
    "mqtt.port",
    portOrNone,
    1883,
    "MQTT 3.1, 3.1.1 and 5 over TCP. 0 takes any free port, here and below; with `none` nothing listens there. [More listeners](#more-listeners) have names."
  ),
  setting("mqtt.proxyProtocol", yesOrNo, false, proxyProtocol),
  setting("mqtt.tls", yesOrNo, false, tlsHere),
  setting(
    "mqtt.keepAliveSMax",
    count(0, 65_535),
    defaultMqttOptions.keepAliveSMax,
    "The longest keep alive of an MQTT 5 client, in seconds: one that announces a longer one, or none, is told this one (Server Keep Alive). MQTT 3.1.1 clients cannot be told, and keep their own. 0: any, and none."
  ),
  setting(
    "mqtt.maximumQos",
    count(0, 2),
    defaultMqttOptions.maximumQos,
    "The highest QoS of messages and wills that are taken (Maximum QoS). Above it: 0x9B; MQTT 3.1.1 clients are disconnected. Subscriptions are granted no more."
  ),
  setting(
    "mqtt.retainAvailable",
    yesOrNo,
    defaultMqttOptions.retainAvailable,
    "Whether messages and wills may be retained (Retain Available). If not: 0x9A; MQTT 3.1.1 clients are disconnected. What is retained already stays, and nobody is sent it."
  ),
  setting(
    "mqtt.responsePrefix",
    topicPrefix,
    defaultMqttOptions.responsePrefix,
    "The topic under which each MQTT 5 client that asks for Response Information is told a topic of its own: PREFIX/CLIENT-ID, with `%`, `/`, `+` and `#` of the client id percent-encoded. Without it, none is told."
  ),
  setting(
    "mqtt.serverReference",
    reference,
    defaultMqttOptions.serverReference,
    "The server that MQTT 5 clients are told to use instead (Server Reference): when this one stops, as DISCONNECT 0x9C, and by `mqtt.redirect`."
  ),
  setting(
    "mqtt.redirect",
    oneOf(...redirects),
    defaultMqttOptions.redirect,
    "Drains the server: every client that connects is refused and sent to `mqtt.serverReference`, by CONNACK 0x9C (`temporarily`) or 0x9D (`permanently`); MQTT 3.1.1 clients get code 3."
  ),
  setting(
    "mqtt.sysIntervalS",
    count(0, 86_400),
    defaultMqttOptions.sysIntervalS,
    "The time between two publications of what has changed under `$SYS/broker/`, in seconds. 0: there is nothing under `$SYS/broker/` but what bridges tell of themselves."
  ),
  setting("mqttWs.port", portOrNone, 8083, "MQTT over WebSocket, on any path."),
  setting("mqttWs.proxyProtocol", yesOrNo, false, proxyProtocol),
  setting("mqttWs.tls", yesOrNo, false, tlsHere),
  setting(
    "mqttWs.origins",
    origins,
    "local",
    "Web pages that may connect while the server listens on loopback or asks for client certificates: those of local names only, those of these origins too, or any."
  ),
  setting("kafka.port", portOrNone, 9092, "Kafka's protocol."),
  setting("kafka.proxyProtocol", yesOrNo, false, proxyProtocol),
  setting("kafka.tls", yesOrNo, false, tlsHere),
  setting(
    "kafka.advertised",
    address,
    null,
    "What Kafka clients are told to connect to. Without it: `host` and `kafka.port`; for 0.0.0.0 and :: the address that they connected to."
  ),
  setting(
    "kafka.zstdClients",
    softwareNames,
    "apache-kafka-java,kgo",
    "Client software, by the name it gives (KIP-511), that gets settled records compressed with zstd as they lie on the disk; everyone else gets them decompressed. `none` for nobody."
  ),
  setting(
    "kafka.autoCreateTopics",
    yesOrNo,
    false,
    "Topics that Kafka clients ask for and that are not there are created, unless the client does not want it. As with Kafka's `auto.create.topics.enable` a name that is mistyped is a topic then."
  ),
  setting(
    "kafka.defaultPartitions",
    count(1, 10_000),
    1,
    "Partitions of a topic that a Kafka client creates without a number, or by asking for it: Kafka's `num.partitions`. At most `limits.partitionsPerStreamMax`."
  ),
  setting("http.port", portOrNone, 18_083, "HTTP API, health and metrics."),
  setting("http.proxyProtocol", yesOrNo, false, proxyProtocol),
  setting("http.tls", yesOrNo, false, tlsHere),
  setting(
    "journal.segmentBytes",
    size(65_536, 64 * 1024 ** 3),
    defaultLimits.segmentBytesMax,
    "Size at which the journal begins a new file."
  ),
  setting(
    "journal.pacingMs",
    duration(0),
    defaultLimits.commitPacingMs,
    "How long a commit may wait for more when the last one began less than this ago; 0 commits at once."
  ),
  setting(
    "journal.settle",
    yesOrNo,
    true,
    "Rewrite closed files in a process beside the server: each partition's records together, compressed, without what has expired. Off: nothing is compacted, and only whole files give their room back."
  ),
  setting(
    "journal.historyMs",
    duration(0),
    7 * 24 * 60 * 60 * 1000,
    "How long events are kept for looking into the past, whatever the streams' retention; less when the disk is nearly full."
  ),
  setting(
    "journal.historyBytes",
    size(0),
    16 * 1024 * 1024 * 1024,
    "How much of the disk events may take that are kept for looking into the past only."
  ),
  setting(
    "log.level",
    oneOf("debug", "info", "warn", "error", "silent"),
    "info",
    "The least serious lines that are logged."
  ),
  ...limitNames.map((name) => setting(`limits.${name}`, limitKind(name), defaultLimits[name], ""))
]
