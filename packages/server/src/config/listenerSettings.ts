import type { ListenerProtocol } from "../net/Listener.ts"
import type { ListenerConfig } from "./Config.ts"
import {
  address,
  clientCertificatesKind,
  count,
  type Kind,
  oneOf,
  origins,
  pathOrNone,
  port,
  principalKind,
  proxyProtocol,
  type SettingValue,
  textOf,
  tlsHere,
  yesOrNo
} from "./settings.ts"

/** A setting of a listener that has a name: `listeners.NAME.SETTING`. */
export interface ListenerSetting extends Kind {
  readonly name: Exclude<keyof ListenerConfig, "name">
  readonly byDefault: SettingValue
  readonly documentation: string
  /** Only listeners of these protocols have it. */
  readonly protocols: ReadonlyArray<ListenerProtocol>
}

export const listenerProtocols: ReadonlyArray<ListenerProtocol> = ["mqtt", "mqttWs", "kafka", "http"]

/** The systems' structures have room for so many. */
const pathBytesMax = 100
const path: Kind = {
  expects: `the path of a Unix socket, such as /run/logbrook/mqtt.sock, of up to ${pathBytesMax} bytes`,
  parse: (value) =>
    typeof value === "string" && value !== "" && Buffer.byteLength(value) <= pathBytesMax && !value.includes("\0")
      ? value
      : undefined
}
/** Only numbers' sources tell what is octal: YAML has `0o660` as 432, and `0660` as 660. */
const mode: Kind = {
  expects: "the mode of a file in octal digits, such as 660",
  parse: (value, source = String(value)) => /^(?:0o?)?([0-7]{3})$/.exec(source)?.[1]
}
const limit: Kind = count(1)
const mountPointBytesMax = 200
const mountPoint: Kind = {
  expects: `a prefix of topics of up to ${mountPointBytesMax} bytes that ends with / and has no wildcards and no $ in front, such as tenants/a/`,
  parse: (value) =>
    typeof value === "string" &&
    Buffer.byteLength(value) <= mountPointBytesMax &&
    value.isWellFormed() &&
    /^[^$+#\0/][^+#\0]*\/$/.test(value)
      ? value
      : undefined
}

const setting = (
  name: ListenerSetting["name"],
  kind: Kind,
  byDefault: SettingValue,
  documentation: string,
  protocols = listenerProtocols
): ListenerSetting => ({ name, ...kind, byDefault, documentation, protocols })

/** In the order of the documentation. */
export const listenerSettings: ReadonlyArray<ListenerSetting> = [
  setting("protocol", oneOf(...listenerProtocols), null, "What it speaks. It has to be given."),
  setting(
    "port",
    port,
    null,
    "The port that it listens on; 0 takes any free one. Either this or `path` has to be given."
  ),
  setting("host", textOf("an address or a host name"), null, "The address that it listens on; without it, `host`."),
  setting("path", path, null, "The Unix socket that it listens on."),
  setting(
    "mode",
    mode,
    "660",
    "Who may connect to the Unix socket: those who may write to its file. By default its owner and group."
  ),
  setting("proxyProtocol", yesOrNo, false, proxyProtocol),
  setting("tls", yesOrNo, false, `${tlsHere} A Unix socket has none.`),
  setting("tlsCert", pathOrNone, null, "Its own `tls.cert`."),
  setting("tlsKey", pathOrNone, null, "Its own `tls.key`, for `tlsCert`."),
  setting("tlsClientCa", pathOrNone, null, "Its own `tls.clientCa`."),
  setting("tlsClientCertificates", clientCertificatesKind, null, "Its own `tls.clientCertificates`."),
  setting("tlsPrincipal", principalKind, null, "Its own `tls.principal`."),
  setting("connectionsMax", limit, null, "Connections of this listener, within `limits.connectionsMax`."),
  setting(
    "connectionsPerAddressMax",
    limit,
    null,
    "The same from one address. All who come by a Unix socket are of one."
  ),
  setting(
    "newConnectionsPerSecondMax",
    limit,
    null,
    "New connections of this listener per second, within `limits.newConnectionsPerSecondMax`."
  ),
  setting(
    "mountPoint",
    mountPoint,
    null,
    "The topics below which its clients are: they see nothing else, and not this prefix ([how](mqtt.md#mount-points)).",
    ["mqtt", "mqttWs"]
  ),
  setting("origins", origins, "local", "As `mqttWs.origins`.", ["mqttWs"]),
  setting(
    "advertised",
    address,
    null,
    "What the Kafka clients of this listener are told to connect to, as `kafka.advertised`. A Unix socket needs it.",
    ["kafka"]
  )
]
