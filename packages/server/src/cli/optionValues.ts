import * as Effect from "effect/Effect"
import { parsePoint, pointHelp, type At } from "../tools/point.ts"
import type { Arguments } from "./commandLine.ts"
import { type CliError, usageError } from "./CliError.ts"
import { note, type Io } from "./Io.ts"

// An option's meaning, or `CliError` "E_USAGE" that says why it has none.

export const defaultUrl = "http://127.0.0.1:18083"

/** `host:port` is `http://host:port`. */
export const urlOf = (args: Arguments, { env }: Io): Effect.Effect<string, CliError> => {
  const text = args.text("url") ?? (env["LOGBROOK_URL"] || defaultUrl)
  const url = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`
  if (/^https?:/i.test(url) && URL.canParse(url)) return Effect.succeed(url)
  return Effect.fail(usageError(`"${text}" is no URL`, `http://HOST:PORT or HOST:PORT; by default ${defaultUrl}`))
}

/** A whole number of at least `min`. */
export const numberOption = (
  args: Arguments,
  name: string,
  min: number,
  byDefault: number
): Effect.Effect<number, CliError> => {
  const text = args.text(name)
  if (text === undefined) return Effect.succeed(byDefault)
  const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN
  if (value >= min) return Effect.succeed(value)
  return Effect.fail(usageError(`--${name} takes a whole number, ${min} at least, not "${text}"`))
}

/** Says what was taken for a time without its zone. */
export const pointOf = (io: Io, text: string): Effect.Effect<At, CliError> => {
  const at = parsePoint(text, Date.now())
  if (at === undefined) return Effect.fail(usageError(`"${text}" is neither a seq nor a time`, pointHelp))
  if ("timeMs" in at && at.isAssumed === true) {
    note(io, `${text} is taken as ${new Date(at.timeMs).toISOString()}: times without a zone are UTC`)
  }
  return Effect.succeed(at)
}

export const seqOf = (text: string): Effect.Effect<number, CliError> => {
  if (/^\d{1,15}$/.test(text)) return Effect.succeed(Number(text))
  return Effect.fail(usageError(`"${text}" is no seq: a whole number, as in the first column of logbrook journal tail`))
}

/** The data directory that is named instead of a server; undefined: a server is asked. */
export const directoryInstead = (args: Arguments): Effect.Effect<string | undefined, CliError> => {
  const directory = args.text("data-dir")
  if (directory === undefined || args.text("url") === undefined) return Effect.succeed(directory)
  return Effect.fail(usageError("--url and --data-dir exclude each other"))
}
