import { isAlias, isMap, isScalar, LineCounter, parseDocument, type Document, type YAMLMap } from "yaml"
import type { ConfigProblem } from "./Config.ts"
import { settings, type Setting } from "./settings.ts"
import { suggest } from "./suggest.ts"

/** A value that a source gives. */
export interface Given {
  readonly path: string
  readonly value: unknown
  /** A number as the file has it, if that is another text than the value's own: `0o660`. */
  readonly source?: string
  readonly origin: string
}

/** The values that a source gives, and what is wrong with the source itself. */
export interface Read {
  readonly given: ReadonlyArray<Given>
  readonly problems: ReadonlyArray<ConfigProblem>
}

/** Variables that are read elsewhere. */
const otherVariables: ReadonlySet<string> = new Set([
  "LOGBROOK_URL",
  "LOGBROOK_MQTT",
  "LOGBROOK_KAFKA",
  "LOGBROOK_CONFIG"
])

/** Kubernetes gives these to every container beside a Service named `logbrook`: LOGBROOK_SERVICE_HOST, LOGBROOK_PORT=tcp://… */
const serviceLink = /^LOGBROOK_(SERVICE_(HOST|PORT)(_\w+)?=|PORT_\d+_[A-Z]+|PORT=[a-z]+:)/

const fileBytesMax = 1024 * 1024
const byPath = new Map(settings.map((setting) => [setting.path, setting]))
const byEnv = new Map(settings.map((setting) => [setting.env, setting]))
const listenersSection = "listeners"
const sections = new Set([
  ...settings.flatMap(({ path }) => (path.includes(".") ? [path.slice(0, path.indexOf("."))] : [])),
  listenersSection
])

export const settingAt = (path: string): Setting | undefined => byPath.get(path)
export const isSection = (path: string): boolean => sections.has(path)

/** `flags`: by name without dashes; others than settings are the command line's to refuse. */
export const readFlags = (flags: ReadonlyMap<string, unknown>): Read => ({
  given: settings.flatMap(({ flag, path }) =>
    flag !== undefined && flags.has(flag) ? [{ path, value: flags.get(flag), origin: `--${flag}` }] : []
  ),
  problems: []
})

/** A variable that is set to nothing is not set. */
export const readEnv = (env: Readonly<Record<string, string | undefined>>): Read => {
  const given: Array<Given> = []
  const problems: Array<ConfigProblem> = []
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith("LOGBROOK_") || !value) continue
    if (otherVariables.has(name) || serviceLink.test(`${name}=${value}`)) continue
    const setting = byEnv.get(name)
    if (setting !== undefined) given.push({ path: setting.path, value, origin: name })
    else {
      const didYouMean = suggest(name, byEnv.keys())
      problems.push({ path: "", origin: name, message: "no setting has this variable", didYouMean })
    }
  }
  return { given, problems }
}

/** `name` is shown in origins. */
export const readYaml = (name: string, text: string): Read => {
  const problem = (message: string, line?: number): ConfigProblem => ({
    path: "",
    origin: line === undefined ? name : `${name}:${line}`,
    message,
    didYouMean: undefined
  })
  if (text.length > fileBytesMax) return { given: [], problems: [problem("the file is above 1 MiB")] }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ message, pos }) => problem(message, lines.linePos(pos[0]).line))
    return { given: [], problems }
  }
  const root = document.contents
  if (root === null) return { given: [], problems: [] }
  if (!isMap(root)) return { given: [], problems: [problem("the file is not a mapping of settings")] }
  const read = { given: [] as Array<Given>, problems: [] as Array<ConfigProblem> }
  walk(root, "", document, (offset) => `${name}:${lines.linePos(offset).line}`, read)
  return read
}

const walk = (
  map: YAMLMap,
  prefix: string,
  document: Document,
  originAt: (offset: number) => string,
  read: { readonly given: Array<Given>; readonly problems: Array<ConfigProblem> }
): void => {
  for (const { key, value } of map.items) {
    const origin = originAt((isScalar(key) ? key.range?.[0] : undefined) ?? map.range?.[0] ?? 0)
    const path = prefix + String(isScalar(key) ? key.value : key)
    // An alias may refer to what it lies in, without end.
    if (isAlias(value)) {
      read.problems.push({ path, origin, message: "aliases are not taken", didYouMean: undefined })
    } else if (isMap(value) && (prefix === "" || prefix === `${listenersSection}.`) && !byPath.has(path)) {
      if (value.items.length === 0 && !sections.has(path)) read.given.push({ path, value: {}, origin })
      walk(value, `${path}.`, document, originAt, read)
    } else {
      const plain = isScalar(value) ? value.value : value === null ? null : String(value)
      const source = isScalar(value) && typeof plain === "number" ? value.source : undefined
      const isOther = source !== undefined && source !== String(plain)
      if (plain !== null || !sections.has(path)) {
        read.given.push({ path, value: plain, origin, ...(isOther && { source }) })
      }
    }
  }
}
