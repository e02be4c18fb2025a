import * as Effect from "effect/Effect"
import { durationMs, hostAndPort } from "../config/values.ts"
import { parsePoint, pointHelp, type At } from "../tools/point.ts"
import type { HostPort } from "../config/Config.ts"
import { CommandTls } from "./clients/clientTls.ts"
import type { Listener } from "./clients/connecting.ts"
import type { Arguments } from "./commandLine.ts"
import { type CliError, usageError } from "./CliError.ts"
import { note, type Io } from "./Io.ts"

// An option's meaning, or `CliError` "E_USAGE" that says why it has none.

const defaultPlace = "127.0.0.1:18083"
export const defaultUrl = `http://${defaultPlace}`

const withScheme = (text: string, scheme: "http" | "https"): string =>
  /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `${scheme}://${text}`

/** `host:port` is `http://host:port`, or with an option of TLS `https://host:port`. */
export const urlOf = (args: Arguments, { env }: Io): Effect.Effect<string, CliError> =>
  Effect.flatMap(CommandTls, (tls) => {
    const text = args.text("url") ?? (env["LOGBROOK_URL"] || (tls === undefined ? defaultUrl : defaultPlace))
    const url = withScheme(text, tls === undefined ? "http" : "https")
    if (tls === undefined || /^https:/i.test(url)) return parsed(url, text)
    return Effect.fail(usageError(`"${text}" has no TLS`, `https:// instead of http://, or leave --tls out`))
  })

const parsed = (url: string, text: string): Effect.Effect<string, CliError> => {
  if (/^https?:/i.test(url) && URL.canParse(url)) return Effect.succeed(url)
  return Effect.fail(usageError(`"${text}" is no URL`, `http://HOST:PORT or HOST:PORT; by default ${defaultUrl}`))
}

const listenerPorts = { mqtt: 1883, kafka: 9092 } as const

/** `HOST` or `HOST:PORT` of the option, or of its variable; else the usual port where the HTTP API is asked. */
export const listenerOf = (args: Arguments, io: Io, option: "mqtt" | "kafka"): Effect.Effect<Listener, CliError> =>
  Effect.flatMap(CommandTls, (tls) =>
    Effect.map(placeOf(args, io, option), (place) => ({ option, ...place, ...(tls !== undefined && { tls }) }))
  )

const placeOf = (args: Arguments, { env }: Io, option: "mqtt" | "kafka"): Effect.Effect<HostPort, CliError> => {
  const port = listenerPorts[option]
  const text = args.text(option) ?? (env[`LOGBROOK_${option.toUpperCase()}`] || undefined)
  if (text === undefined) {
    const url = withScheme(env["LOGBROOK_URL"] || defaultUrl, "http")
    return Effect.map(parsed(url, url), (whole) => ({
      host: new URL(whole).hostname.replaceAll(/[[\]]/g, ""),
      port
    }))
  }
  const found = hostAndPort(text) ?? hostAndPort(`${text}:${port}`)
  if (found !== undefined) return Effect.succeed(found)
  return Effect.fail(usageError(`--${option} takes HOST or HOST:PORT, not "${text}"`, `127.0.0.1:${port}, [::1]`))
}

/** Of a whole command that talks to a server. */
export const timeoutOf = (args: Arguments): Effect.Effect<number, CliError> =>
  Effect.flatMap(durationOption(args, "timeout"), (ms) => {
    if (ms !== 0) return Effect.succeed(ms ?? timeoutMsDefault)
    return Effect.fail(usageError("--timeout 0 would wait for nothing", "--timeout 10s"))
  })

const timeoutMsDefault = 10_000

/** Milliseconds of `30s`, `5m`; undefined where the option is not given. */
export const durationOption = (args: Arguments, name: string): Effect.Effect<number | undefined, CliError> => {
  const text = args.text(name)
  if (text === undefined) return Effect.succeed(undefined)
  const ms = /[a-z]/i.test(text) ? durationMs(text) : undefined
  if (ms !== undefined && ms <= timerMsMax) return Effect.succeed(ms)
  return Effect.fail(usageError(`--${name} takes 500ms, 30s, 5m or 1h, not "${text}"`))
}

/** Node's timers take no more. */
const timerMsMax = 2_147_483_647

/** `NAME=VALUE`, in order with repeats. */
export const pairsOption = (
  args: Arguments,
  name: string
): Effect.Effect<ReadonlyArray<readonly [name: string, value: string]>, CliError> =>
  Effect.forEach(args.texts(name), (text) => {
    const at = text.indexOf("=")
    if (at > 0) return Effect.succeed([text.slice(0, at), text.slice(at + 1)] as const)
    return Effect.fail(usageError(`--${name} takes NAME=VALUE, not "${text}"`))
  })

/** One of a few words. */
export const choiceOption = <const A extends string>(
  args: Arguments,
  name: string,
  choices: ReadonlyArray<A>,
  byDefault: A
): Effect.Effect<A, CliError> => {
  const text = args.text(name)
  if (text === undefined) return Effect.succeed(byDefault)
  const found = choices.find((choice) => choice === text)
  if (found !== undefined) return Effect.succeed(found)
  return Effect.fail(usageError(`--${name} takes ${choices.join(", ")}, not "${text}"`))
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

const boundHelp = "an offset, a time such as 2026-01-31T12:00:00Z or 12:00 in UTC, or -5m before now"

/** An offset or a time, or one of the words that are bounds beside them. */
export const boundOption = <const Word extends string>(
  io: Io,
  option: string,
  text: string,
  words: ReadonlyArray<Word>
): Effect.Effect<Word | At, CliError> => {
  const word = words.find((each) => each === text)
  if (word !== undefined) return Effect.succeed(word)
  const at = parsePoint(text, Date.now())
  if (at === undefined) {
    return Effect.fail(usageError(`--${option} takes ${words.join(", ")}, ${boundHelp}; not "${text}"`))
  }
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
