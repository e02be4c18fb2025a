import type { ConfigProblem, EffectiveSetting, ListenerConfig } from "./Config.ts"
import { listenerProtocols, listenerSettings, type ListenerSetting } from "./listenerSettings.ts"
import type { SettingValue } from "./settings.ts"
import type { Given } from "./sources.ts"
import { suggest } from "./suggest.ts"
import { notTaken } from "./values.ts"

/** The section `listeners` as it was read. */
export interface NamedListeners {
  readonly listeners: ReadonlyArray<ListenerConfig>
  readonly settings: ReadonlyArray<EffectiveSetting>
  readonly problems: ReadonlyArray<ConfigProblem>
}

const section = "listeners"
const nameForm = /^[a-z][a-zA-Z0-9-]{0,31}$/

/** Whether a path is one of the section's. */
export const isOfListeners = (path: string): boolean => path === section || path.startsWith(`${section}.`)

interface OneListener {
  readonly name: string
  /** The place of its first setting. */
  readonly origin: string
  readonly given: Map<string, Given>
}

const problemAt = (path: string, origin: string, message: string, didYouMean?: string): ConfigProblem => ({
  path,
  origin,
  message,
  didYouMean
})

/** The values by listeners' names; a name may hold no dot, so the last one of a path is before the setting. */
const byName = (given: Iterable<Given>, problems: Array<ConfigProblem>): ReadonlyArray<OneListener> => {
  const found = new Map<string, OneListener>()
  for (const each of given) {
    const { path, value, origin } = each
    const rest = path.slice(section.length + 1)
    const dot = rest.lastIndexOf(".")
    const name = dot === -1 ? rest : rest.slice(0, dot)
    const isEmptySection = dot === -1 && typeof value === "object" && value !== null
    if (path === section || (dot === -1 && !isEmptySection)) {
      problems.push(problemAt(path, origin, "is a section: listeners are expected in it, by their names"))
      continue
    }
    let one = found.get(name)
    if (one === undefined) {
      one = { name, origin, given: new Map() }
      found.set(name, one)
    }
    if (dot !== -1) one.given.set(rest.slice(dot + 1), each)
  }
  return [...found.values()]
}

/** A listener's settings, read one by one. */
class Reading {
  readonly #one: OneListener
  readonly #problems: Array<ConfigProblem>
  readonly settings: Array<EffectiveSetting> = []

  constructor(one: OneListener, problems: Array<ConfigProblem>) {
    this.#one = one
    this.#problems = problems
  }

  originOf(name: string): string {
    return this.#one.given.get(name)?.origin ?? this.#one.origin
  }

  complain(name: string, message: string, didYouMean?: string): void {
    this.#problems.push(problemAt(`${section}.${this.#one.name}.${name}`, this.originOf(name), message, didYouMean))
  }

  /** Undefined: it is given, and no value of this setting. */
  value({ name, parse, expects, byDefault }: ListenerSetting): SettingValue | undefined {
    const given = this.#one.given.get(name)
    const value = given === undefined ? byDefault : parse(given.value, given.source)
    if (value === undefined) this.complain(name, notTaken(given!.source ?? given!.value, expects))
    else this.settings.push({ path: `${section}.${this.#one.name}.${name}`, value, origin: given?.origin ?? "default" })
    return value
  }
}

const tlsNames = ["tlsCert", "tlsKey", "tlsClientCa", "tlsClientCertificates", "tlsPrincipal"] as const

const whatMisses = (reading: Reading, one: OneListener, config: ListenerConfig): void => {
  const { protocol, port, path, host, advertised } = config
  if ((port === null) === (path === null)) {
    reading.complain("port", "a listener has either a port or the path of a Unix socket")
  }
  if (path !== null && host !== null) reading.complain("host", "a Unix socket has none")
  if (path === null && one.given.has("mode")) reading.complain("mode", "is for Unix sockets")
  if (path !== null && config.tls) reading.complain("tls", "a Unix socket has none")
  const ofTls = tlsNames.filter((name) => config[name] !== null)
  if (!config.tls) for (const name of ofTls) reading.complain(name, "is for a listener with tls: true")
  if ((config.tlsCert === null) !== (config.tlsKey === null)) {
    reading.complain(config.tlsCert === null ? "tlsKey" : "tlsCert", "a certificate and its key go together")
  }
  if (protocol === "kafka" && path !== null && advertised === null) {
    reading.complain("advertised", "clients of a Unix socket have to be told what to connect to")
  }
}

const read = (one: OneListener, problems: Array<ConfigProblem>) => {
  const { name, given } = one
  const before = problems.length
  const reading = new Reading(one, problems)
  if (!nameForm.test(name) || (listenerProtocols as ReadonlyArray<string>).includes(name)) {
    const message =
      "a listener's name has up to 32 letters, digits and -, begins with a small letter, and is not a protocol's"
    problems.push(problemAt(`${section}.${name}`, one.origin, message))
  }
  const protocol = reading.value(listenerSettings[0]!)
  if (protocol === null) reading.complain("protocol", `is missing: ${listenerProtocols.join(", ")}`)
  const names = listenerSettings.map((setting) => setting.name)
  for (const key of given.keys()) {
    if (!(names as ReadonlyArray<string>).includes(key)) reading.complain(key, "no such setting", suggest(key, names))
  }
  const values: Record<string, SettingValue> = { name, protocol: protocol ?? null }
  for (const setting of listenerSettings.slice(1)) {
    const isOfProtocol = (setting.protocols as ReadonlyArray<SettingValue | undefined>).includes(protocol)
    if (typeof protocol === "string" && !isOfProtocol) {
      if (given.has(setting.name)) reading.complain(setting.name, `is for ${setting.protocols.join(" and ")} only`)
      values[setting.name] = setting.byDefault
    } else values[setting.name] = reading.value(setting) ?? null
  }
  const config = values as unknown as ListenerConfig
  if (problems.length === before) whatMisses(reading, one, config)
  return { config, settings: reading.settings }
}

/** The listeners of the section, and all that is wrong with them. */
export const namedListeners = (given: Iterable<Given>): NamedListeners => {
  const problems: Array<ConfigProblem> = []
  const all = byName(given, problems).map((one) => read(one, problems))
  return { listeners: all.map(({ config }) => config), settings: all.flatMap(({ settings }) => settings), problems }
}
