import * as Effect from "effect/Effect"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { ConfigFileUnreadable, ConfigInvalid } from "../config/Config.ts"
import type { ListenFailed } from "../net/listen.ts"
import type { TlsFileInvalid } from "../net/tls/Credentials.ts"
import type { DataDirUnusable } from "../Server.ts"
import type { JournalQueryRefused } from "../tools/journalTools.ts"
import { CliError, exitCodes } from "./CliError.ts"

/** A command ends with one of these, or with its exit code. Everything else is a defect. */
export type CommandFailure =
  | CliError
  | ConfigFileUnreadable
  | ConfigInvalid
  | DataDirUnusable
  | JournalError
  | JournalQueryRefused
  | ListenFailed
  | TlsFileInvalid

/** The one table from failures to exit codes and messages. */
export const cliErrorOf = (failure: CommandFailure): CliError => {
  switch (failure._tag) {
    case "CliError":
      return failure
    case "ConfigFileUnreadable":
      return new CliError(exitCodes.usage, "E_CONFIG_FILE", `cannot read ${failure.file}: ${failure.message}`)
    case "ConfigInvalid":
      return new CliError(exitCodes.usage, "E_CONFIG", failure.message, configHint, configLines(failure))
    case "DataDirUnusable":
      return new CliError(exitCodes.failure, "E_DATA_DIR", `${failure.directory} cannot be used: ${failure.message}`)
    case "JournalError":
      return journalError(failure)
    case "JournalQueryRefused":
      return queryError(failure)
    case "ListenFailed":
      return listenError(failure)
    case "TlsFileInvalid":
      return new CliError(exitCodes.usage, "E_TLS_FILE", `${failure.file} ${failure.message}`, tlsHint)
  }
}

const tlsHint = "logbrook tls dev makes certificates for development"
const configHint = "logbrook config show tells each value and where it comes from"

/** All that is wrong, a line each. */
const configLines = ({ problems }: ConfigInvalid): ReadonlyArray<string> =>
  problems.map(({ path, origin, message, didYouMean }) => {
    const meant = didYouMean === undefined ? "" : ` (did you mean ${didYouMean}?)`
    return `${path === "" ? "" : `${path}: `}${message}${meant} [${origin}]`
  })

/** With its reason as the code: `E_JOURNAL_UNKNOWN_FORMAT`. */
const journalError = ({ reason, message }: JournalError, hint?: string): CliError => {
  const name = reason.replaceAll(/\B[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
  return new CliError(exitCodes.failure, `E_JOURNAL_${name}`, message, hint)
}

/** Gives a journal's failure a hint that helps with it: the command knows it. */
export const withJournalHints =
  (hints: Partial<Record<JournalError["reason"], string>>) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, Exclude<E, JournalError> | CliError> =>
    Effect.mapError(effect, (failure) =>
      failure instanceof JournalError
        ? journalError(failure, hints[failure.reason])
        : (failure as Exclude<E, JournalError>)
    )

/** As a server answers it. */
const queryError = ({ reason, message }: JournalQueryRefused): CliError => {
  const isUsage = reason === "InvalidActor" || reason === "InvalidType"
  return new CliError(isUsage ? exitCodes.usage : exitCodes.notFound, queryCodes[reason], message)
}

const queryCodes = {
  UnknownEvent: "E_UNKNOWN_EVENT",
  UnknownActor: "E_UNKNOWN_ACTOR",
  InvalidActor: "E_INVALID_ACTOR",
  InvalidType: "E_INVALID_TYPE",
  Expired: "E_EXPIRED"
} as const

const flags = { mqtt: "--mqtt-port", mqttWs: "--mqtt-ws-port", kafka: "--kafka-port", http: "--http-port" } as const
const protocols = { mqtt: "MQTT", mqttWs: "MQTT over WebSocket", kafka: "Kafka", http: "HTTP" } as const

const listenError = ({ protocol, name, at, code, message }: ListenFailed): CliError => {
  const where = "path" in at ? at.path : `${at.host} port ${at.port}`
  const place = `${protocols[protocol]} cannot listen on ${where}`
  if (code !== "EADDRINUSE") return new CliError(exitCodes.failure, "E_LISTEN", `${place}: ${message}`)
  const what = "path" in at ? "path" : "port"
  const setting = name === protocol ? flags[protocol] : `listeners.${name}.${what}`
  const hint = `choose another with ${setting}, or stop the program that has it`
  return new CliError(exitCodes.failure, "E_PORT_TAKEN", `${place}: the ${what} is taken`, hint)
}
