import { parsePoint, pointHelp, type At } from "../tools/point.ts"
import type { Arguments, Option } from "./commandLine.ts"
import { usageError } from "./CliError.ts"
import { note, type Io } from "./Io.ts"

export const json: Option = { name: "json", value: undefined, help: "one JSON document instead of text" }
export const url: Option = {
  name: "url",
  value: "URL",
  help: "the server; else LOGBROOK_URL, else http://127.0.0.1:18083"
}
export const offline: Option = {
  name: "data-dir",
  value: "DIR",
  help: "read a data directory instead of asking a server; a running server does not mind"
}

/** For commands that read everything: never from a live server, which would stand still meanwhile. */
export const dataDirectory: Option = {
  name: "data-dir",
  value: "DIR",
  help: "the data directory; else that of LOGBROOK_DATA_DIR or the configuration file, else ./data"
}

export const defaultUrl = "http://127.0.0.1:18083"

/** `host:port` is `http://host:port`. Throws `CliError` for what is no address of a server. */
export const urlOf = (args: Arguments, { env }: Io): string => {
  const text = args.text("url") ?? (env["LOGBROOK_URL"] || defaultUrl)
  const url = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`
  if (/^https?:/i.test(url) && URL.canParse(url)) return url
  throw usageError(`"${text}" is no URL`, `http://HOST:PORT or HOST:PORT; by default ${defaultUrl}`)
}

/** Throws `CliError` for a text that is no whole number of at least `min`. */
export const numberOption = (args: Arguments, name: string, min: number, byDefault: number): number => {
  const text = args.text(name)
  if (text === undefined) return byDefault
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN
  if (value >= min) return value
  throw usageError(`--${name} takes a whole number, ${min} at least, not "${text}"`)
}

/** Says what was taken for a time without its zone. Throws `CliError` "E_USAGE". */
export const pointOf = (io: Io, text: string): At => {
  const at = parsePoint(text, Date.now())
  if (at === undefined) throw usageError(`"${text}" is neither a seq nor a time`, pointHelp)
  if ("timeMs" in at && at.isAssumed === true) {
    note(io, `${text} is taken as ${new Date(at.timeMs).toISOString()}: times without a zone are UTC`)
  }
  return at
}

export const seqOf = (text: string): number => {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw usageError(`"${text}" is no seq: a whole number, as in the first column of logbrook journal tail`)
}
