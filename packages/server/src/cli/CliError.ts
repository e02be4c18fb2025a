import { counted } from "../units.ts"

/** The exit codes, from which a shell script can tell what happened. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unreachable: 5,
  interrupted: 130
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends the command: printed as `error[code]: message`, the details below it, and `hint: hint`. Each is one line. */
export class CliError extends Error {
  readonly _tag = "CliError"
  readonly exitCode: ExitCode
  /** `E_PORT_TAKEN` */
  readonly code: string
  readonly hint: string | undefined
  readonly details: ReadonlyArray<string>
  constructor(exitCode: ExitCode, code: string, message: string, hint?: string, details: ReadonlyArray<string> = []) {
    super(message)
    this.name = "CliError"
    this.exitCode = exitCode
    this.code = code
    this.hint = hint
    this.details = details
  }
}

export const usageError = (message: string, hint?: string): CliError =>
  new CliError(exitCodes.usage, "E_USAGE", message, hint)

/** Whoever sends again must know what arrived. */
export const withCount = (error: unknown, count: number, noun: string): unknown => {
  if (!(error instanceof CliError) || count === 0) return error
  const { exitCode, code, message, hint } = error
  return new CliError(exitCode, code, message, hint, [`${counted(count, noun)} arrived before`])
}
