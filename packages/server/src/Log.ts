import { plainText } from "./plainText.ts"

/** `silent` is for tests. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent"

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

/** Writes a line for each event: for people on a terminal, JSON elsewhere. */
export interface Log {
  readonly debug: (message: string, fields?: Fields) => void
  readonly info: (message: string, fields?: Fields) => void
  readonly warn: (message: string, fields?: Fields) => void
  readonly error: (message: string, fields?: Fields) => void
}

const order: ReadonlyArray<LogLevel> = ["debug", "info", "warn", "error", "silent"]
const colours: Readonly<Record<string, string>> = { debug: "90", info: "36", warn: "33", error: "31" }

const pretty = (level: string, time: Date, message: string, fields: Fields): string => {
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` \u001b[90m${name}=\u001b[0m${plainText(String(value))}`)
  return `\u001b[90m${time.toISOString().slice(11, 23)}\u001b[0m \u001b[${colours[level]}m${level.padEnd(5)}\u001b[0m ${message}${rest.join("")}\n`
}

const json = (level: string, time: Date, message: string, fields: Fields): string =>
  `${JSON.stringify({ time: time.toISOString(), level, message, ...fields })}\n`

/** Writes to `stream`: pretty on a terminal, else JSON lines. */
export const makeLog = (level: LogLevel, stream: NodeJS.WriteStream, nowMs: () => number): Log => {
  const render = stream.isTTY ? pretty : json
  const at =
    (own: LogLevel) =>
    (message: string, fields: Fields = {}): void => {
      if (order.indexOf(own) >= order.indexOf(level)) stream.write(render(own, new Date(nowMs()), message, fields))
    }
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }
}
