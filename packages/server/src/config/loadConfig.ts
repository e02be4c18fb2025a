import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { ConfigInvalid, type Config, type ConfigProblem, type EffectiveSetting, type ListenerConfig } from "./Config.ts"
import { settings, type Setting, type SettingValue } from "./settings.ts"
import { isSection, readEnv, readFlags, readYaml, settingAt, type Given, type Read } from "./sources.ts"
import { suggest } from "./suggest.ts"
import { lackOfTls, type TlsSettings, tlsSettingsOf } from "./tlsSettings.ts"
import { isOfListeners, namedListeners } from "./namedListeners.ts"
import { heapOrigin, isLoopback, notTaken } from "./values.ts"

export interface ConfigSources {
  /** By name without dashes: `mqtt-port`. */
  readonly flags: ReadonlyMap<string, unknown>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Texts of configuration files, the one that counts most first. */
  readonly files: ReadonlyArray<{ readonly name: string; readonly text: string }>
  /** The most that V8 may take for its heap: clients get their share of it, unless a source says how much. */
  readonly heapBytesMax?: number
}

export interface LoadedConfig {
  readonly config: Config
  readonly settings: ReadonlyArray<EffectiveSetting>
}

type Field = Schema.Schema<SettingValue, unknown>

const fieldOf = ({ parse, expects }: Setting): Field =>
  Schema.transformOrFail(Schema.Unknown, Schema.Any as Schema.Schema<SettingValue>, {
    strict: true,
    decode: (given, _options, ast) => {
      const value = parse(given)
      if (value !== undefined) return ParseResult.succeed(value)
      return ParseResult.fail(new ParseResult.Type(ast, given, notTaken(given, expects)))
    },
    encode: (value) => ParseResult.succeed(value)
  })

const optional = (setting: Setting) =>
  Schema.optionalWith(fieldOf(setting), { exact: true, default: () => setting.byDefault })

type Fields = Record<string, ReturnType<typeof optional>>

const sectionOf = (prefix: string): Fields =>
  Object.fromEntries(
    settings
      .filter(({ path }) => (prefix === "" ? !path.includes(".") : path.startsWith(`${prefix}.`)))
      .map((setting) => [setting.path.slice(prefix === "" ? 0 : prefix.length + 1), optional(setting)])
  )

/** The one description of a configuration, made from the table of settings. */
export const ConfigSchema = Schema.Struct({
  ...sectionOf(""),
  tls: Schema.Struct(sectionOf("tls")),
  mqtt: Schema.Struct(sectionOf("mqtt")),
  mqttWs: Schema.Struct(sectionOf("mqttWs")),
  kafka: Schema.Struct(sectionOf("kafka")),
  http: Schema.Struct(sectionOf("http")),
  journal: Schema.Struct(sectionOf("journal")),
  log: Schema.Struct(sectionOf("log")),
  limits: Schema.Struct(sectionOf("limits"))
})

const sectionNames = ["tls", "mqtt", "mqttWs", "kafka", "http", "journal", "log", "limits"] as const

/** Without prototypes: `__proto__` in a file is a name like any other. */
const nested = (given: Iterable<Given>): Record<string, unknown> => {
  const root: Record<string, unknown> = Object.create(null)
  for (const name of sectionNames) root[name] = Object.create(null)
  for (const { path, value } of given) {
    const dot = path.indexOf(".")
    const parent = dot === -1 ? root : (root[path.slice(0, dot)] ??= Object.create(null))
    if (typeof parent === "object" && parent !== null) {
      ;(parent as Record<string, unknown>)[dot === -1 ? path : path.slice(dot + 1)] = value
    }
  }
  return root
}

const problemOf = (issue: ParseResult.ArrayFormatterIssue, won: ReadonlyMap<string, Given>): ConfigProblem => {
  const path = issue.path.map(String).join(".")
  const inside = Array.from(won.values()).find((given) => given.path === path || given.path.startsWith(`${path}.`))
  const origin = inside?.origin ?? "default"
  if (issue._tag === "Unexpected") {
    const names = settings.map((setting) => setting.path)
    return { path, origin, message: "no such setting", didYouMean: suggest(inside?.path ?? path, names) }
  }
  const message = isSection(path) ? "is a section: its settings are expected below it" : issue.message
  return { path, origin, message, didYouMean: undefined }
}

/** The values of settings that are valid in themselves, and where they come from. */
interface Values {
  readonly valueOf: (path: string) => SettingValue | undefined
  readonly originOf: (path: string) => string
}

const problemAt = ({ originOf }: Values, path: string, message: string): ConfigProblem => ({
  path,
  origin: originOf(path),
  message,
  didYouMean: undefined
})

/** The addresses that are listened on: the host's and port's paths, and their values. */
interface Place {
  readonly hostPath: string
  readonly portPath: string
  readonly tlsPath: string
  /** Undefined: it has no TLS. */
  readonly tls: TlsSettings | undefined
  readonly host: SettingValue | undefined
  readonly port: SettingValue | undefined
}

const sharedTls = ({ valueOf }: Values): TlsSettings =>
  Object.fromEntries(
    ["cert", "key", "clientCa", "clientCertificates", "principal"].map((name) => [name, valueOf(`tls.${name}`)])
  ) as unknown as TlsSettings

/** Nothing for a Unix socket. */
const placesOf = (values: Values, listeners: ReadonlyArray<ListenerConfig>): ReadonlyArray<Place> => {
  const { valueOf } = values
  const tls = sharedTls(values)
  const own = ["mqtt", "mqttWs", "kafka", "http"].map((section) => ({
    hostPath: "host",
    portPath: `${section}.port`,
    tlsPath: `${section}.tls`,
    tls: valueOf(`${section}.tls`) === true ? tls : undefined,
    host: valueOf("host"),
    port: valueOf(`${section}.port`)
  }))
  const named = listeners
    .filter(({ path }) => path === null)
    .map((listener) => ({
      hostPath: listener.host === null ? "host" : `listeners.${listener.name}.host`,
      portPath: `listeners.${listener.name}.port`,
      tlsPath: `listeners.${listener.name}.tls`,
      tls: listener.tls ? tlsSettingsOf(tls, listener) : undefined,
      host: listener.host ?? valueOf("host"),
      port: listener.port
    }))
  return [...own.filter(({ port }) => port !== null), ...named]
}

/** TLS that cannot be: a listener lacks what it needs, or a certificate is for no listener. */
const tlsWithout = (values: Values, places: ReadonlyArray<Place>): ReadonlyArray<ConfigProblem> => {
  const lacking = places.flatMap(({ tls, tlsPath }) => {
    const lack = tls && lackOfTls(tls)
    return lack === undefined ? [] : [problemAt(values, tlsPath, lack)]
  })
  if (values.valueOf("tls.cert") === null || places.some(({ tls }) => tls !== undefined)) return lacking
  const message =
    "no listener has TLS: mqtt.tls, mqttWs.tls, kafka.tls, http.tls or that of a named listener is to be true"
  return [...lacking, problemAt(values, "tls.cert", message)]
}

const reachable = (values: Values, places: ReadonlyArray<Place>): ReadonlyArray<ConfigProblem> => {
  if (values.valueOf("insecureListen") === true) return []
  const found = new Map<string, ConfigProblem>()
  for (const { hostPath, host, tls } of places) {
    if (typeof host !== "string" || isLoopback(host) || tls?.clientCertificates === "required") continue
    const message =
      `${host} can be reached by others, and whoever has no certificate is not authenticated yet: ` +
      "listen on 127.0.0.1, have client certificates required, or accept that with --insecure-listen"
    found.set(hostPath, problemAt(values, hostPath, message))
  }
  return [...found.values()]
}

const wildcards: ReadonlySet<SettingValue | undefined> = new Set(["0.0.0.0", "::"])

const isSamePlace = (a: Place, b: Place): boolean =>
  a.port === b.port && (a.host === b.host || wildcards.has(a.host) || wildcards.has(b.host))

const takenTwice = (
  values: Values,
  places: ReadonlyArray<Place>,
  listeners: ReadonlyArray<ListenerConfig>
): ReadonlyArray<ConfigProblem> => {
  const fixed = places.filter(({ port }) => typeof port === "number" && port !== 0)
  const ofPorts = fixed.flatMap((place, at) => {
    const other = fixed.slice(0, at).find((each) => isSamePlace(each, place))
    return other === undefined ? [] : [problemAt(values, place.portPath, `${other.portPath} is ${place.port} too`)]
  })
  const ofPaths = listeners.flatMap(({ name, path }, at) => {
    const other = path === null ? undefined : listeners.slice(0, at).find((each) => each.path === path)
    return other === undefined
      ? []
      : [problemAt(values, `listeners.${name}.path`, `listeners.${other.name}.path is ${path} too`)]
  })
  return [...ofPorts, ...ofPaths]
}

/** The topics of clients are what a mount point leaves of the limits. */
const mountedTooDeep = (values: Values, listeners: ReadonlyArray<ListenerConfig>): ReadonlyArray<ConfigProblem> =>
  listeners.flatMap(({ name, mountPoint }) => {
    const fits =
      mountPoint === null ||
      (Buffer.byteLength(mountPoint) < Number(values.valueOf("limits.topicBytesMax")) &&
        mountPoint.split("/").length - 1 < Number(values.valueOf("limits.topicLevelsMax")))
    if (fits) return []
    const message = "leaves no topics: see limits.topicBytesMax and limits.topicLevelsMax"
    return [problemAt(values, `listeners.${name}.mountPoint`, message)]
  })

/**
 * Checks what no setting can tell alone. It looks at the settings that are valid in themselves, so that all faults are
 * told at once.
 */
const throughout = (values: Values, listeners: ReadonlyArray<ListenerConfig>): ReadonlyArray<ConfigProblem> => {
  const { valueOf } = values
  const problems: Array<ConfigProblem> = []
  const places = placesOf(values, listeners)
  problems.push(...reachable(values, places))
  const [partitions, most] = [valueOf("kafka.defaultPartitions"), valueOf("limits.partitionsPerStreamMax")]
  if (typeof partitions === "number" && typeof most === "number" && partitions > most) {
    const message = `${partitions} are more than a stream may have: limits.partitionsPerStreamMax is ${most}`
    problems.push(problemAt(values, "kafka.defaultPartitions", message))
  }
  problems.push(
    ...takenTwice(values, places, listeners),
    ...mountedTooDeep(values, listeners),
    ...tlsWithout(values, places)
  )
  return problems
}

/** The rest is the server's own: its code, what is under way, and what is garbage between two collections. */
const clientsShareOfHeap = 0.6

const ofHeap = (heapBytesMax: number): Read => ({
  given: [{ path: "limits.memoryBytesMax", value: Math.floor(heapBytesMax * clientsShareOfHeap), origin: heapOrigin }],
  problems: []
})

/** The configuration, or everything that is wrong in any source. */
export const loadConfig = (sources: ConfigSources): Either.Either<LoadedConfig, ConfigInvalid> => {
  const { flags, env, files, heapBytesMax } = sources
  const reads = [
    readFlags(flags),
    readEnv(env),
    ...files.map(({ name, text }) => readYaml(name, text)),
    ...(heapBytesMax === undefined ? [] : [ofHeap(heapBytesMax)])
  ]
  const won = new Map<string, Given>()
  for (const { given } of reads) for (const each of given) if (!won.has(each.path)) won.set(each.path, each)
  const given = [...won.values()]
  const decoded = Schema.decodeUnknownEither(ConfigSchema, { errors: "all", onExcessProperty: "error" })(
    nested(given.filter(({ path }) => !isOfListeners(path)))
  )
  const named = namedListeners(given.filter(({ path }) => isOfListeners(path)))
  const issues = Either.isLeft(decoded) ? ParseResult.ArrayFormatter.formatErrorSync(decoded.left) : []
  const originOf = (path: string): string => won.get(path)?.origin ?? "default"
  const valueOf = (path: string): SettingValue | undefined => {
    const { parse, byDefault } = settingAt(path)!
    const given = won.get(path)
    return given === undefined ? byDefault : parse(given.value)
  }
  const problems = [
    ...reads.flatMap((read) => read.problems),
    ...issues.map((issue) => problemOf(issue, won)),
    ...named.problems,
    ...throughout({ valueOf, originOf }, named.listeners)
  ]
  if (Either.isLeft(decoded) || problems.length > 0) return Either.left(new ConfigInvalid({ problems }))
  const effective = settings.map(({ path }) => ({ path, value: valueOf(path)!, origin: originOf(path) }))
  return Either.right({
    config: whole(decoded.right as unknown as Decoded, named.listeners),
    settings: [...effective, ...named.settings]
  })
}

type Decoded = Omit<Config, "limits" | "listeners"> & { readonly limits: Limits }

const whole = (decoded: Decoded, listeners: ReadonlyArray<ListenerConfig>): Config => ({
  ...decoded,
  listeners,
  limits: {
    ...defaultLimits,
    ...decoded.limits,
    segmentBytesMax: decoded.journal.segmentBytes,
    commitPacingMs: decoded.journal.pacingMs
  }
})
