import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { ConfigInvalid, type Config, type ConfigProblem } from "./Config.ts"
import { settings, type Setting, type SettingValue } from "./settings.ts"
import { isSection, readEnv, readFlags, readYaml, settingAt, type Given, type Read } from "./sources.ts"
import { suggest } from "./suggest.ts"
import { heapOrigin, isLoopback } from "./values.ts"

export interface ConfigSources {
  /** By name without dashes: `mqtt-port`. */
  readonly flags: ReadonlyMap<string, unknown>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Texts of configuration files, the one that counts most first. */
  readonly files: ReadonlyArray<{ readonly name: string; readonly text: string }>
  /** The most that V8 may take for its heap: clients get their share of it, unless a source says how much. */
  readonly heapBytesMax?: number
}

/** A setting as it came out, and where from: `--mqtt-port`, `LOGBROOK_MQTT_PORT`, `logbrook.yaml:3` or `default`. */
export interface EffectiveSetting {
  readonly path: string
  readonly value: SettingValue
  readonly origin: string
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
      return ParseResult.fail(new ParseResult.Type(ast, given, `${shown(given)} is not ${expects}`))
    },
    encode: (value) => ParseResult.succeed(value)
  })

const shown = (given: unknown): string => {
  const text = JSON.stringify(given) ?? String(given)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

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
  mqtt: Schema.Struct(sectionOf("mqtt")),
  mqttWs: Schema.Struct(sectionOf("mqttWs")),
  kafka: Schema.Struct(sectionOf("kafka")),
  http: Schema.Struct(sectionOf("http")),
  journal: Schema.Struct(sectionOf("journal")),
  log: Schema.Struct(sectionOf("log")),
  limits: Schema.Struct(sectionOf("limits"))
})

const sectionNames = ["mqtt", "mqttWs", "kafka", "http", "journal", "log", "limits"] as const

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

/**
 * Checks what no setting can tell alone. It looks at the settings that are valid in themselves, so that all faults are
 * told at once.
 */
const throughout = (valueOf: (path: string) => SettingValue | undefined, originOf: (path: string) => string) => {
  const problems: Array<ConfigProblem> = []
  const host = valueOf("host")
  if (typeof host === "string" && !isLoopback(host) && valueOf("insecureListen") !== true) {
    problems.push({
      path: "host",
      origin: originOf("host"),
      message:
        `${host} can be reached by others, and nobody is authenticated yet: ` +
        "listen on 127.0.0.1, or accept that with --insecure-listen",
      didYouMean: undefined
    })
  }
  const [partitions, most] = [valueOf("kafka.defaultPartitions"), valueOf("limits.partitionsPerStreamMax")]
  if (typeof partitions === "number" && typeof most === "number" && partitions > most) {
    problems.push({
      path: "kafka.defaultPartitions",
      origin: originOf("kafka.defaultPartitions"),
      message: `${partitions} are more than a stream may have: limits.partitionsPerStreamMax is ${most}`,
      didYouMean: undefined
    })
  }
  const taken = new Map<SettingValue, string>()
  for (const path of ["mqtt.port", "mqttWs.port", "kafka.port", "http.port"]) {
    const port = valueOf(path)
    if (port === undefined || port === 0) continue
    const other = taken.get(port)
    if (other === undefined) taken.set(port, path)
    else problems.push({ path, origin: originOf(path), message: `${other} is ${port} too`, didYouMean: undefined })
  }
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
  const decoded = Schema.decodeUnknownEither(ConfigSchema, { errors: "all", onExcessProperty: "error" })(
    nested(won.values())
  )
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
    ...throughout(valueOf, originOf)
  ]
  if (Either.isLeft(decoded) || problems.length > 0) return Either.left(new ConfigInvalid({ problems }))
  const effective = settings.map(({ path }) => ({ path, value: valueOf(path)!, origin: originOf(path) }))
  return Either.right({ config: whole(decoded.right as unknown as Decoded), settings: effective })
}

type Decoded = Omit<Config, "limits"> & { readonly limits: Limits }

const whole = (decoded: Decoded): Config => ({
  ...decoded,
  limits: {
    ...defaultLimits,
    ...decoded.limits,
    segmentBytesMax: decoded.journal.segmentBytes,
    commitPacingMs: decoded.journal.pacingMs
  }
})
