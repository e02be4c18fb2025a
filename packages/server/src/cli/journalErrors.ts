import type { JournalError } from "@logbrook/core/journal/JournalError"
import { CliError, exitCodes } from "./CliError.ts"

/** Its reason as the code: `E_JOURNAL_UNKNOWN_FORMAT`. */
export const cliErrorOf = ({ reason, message }: JournalError, hint?: string): CliError => {
  const name = reason.replaceAll(/\B[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
  return new CliError(exitCodes.failure, `E_JOURNAL_${name}`, message, hint)
}

/** Turns the core's refusals into errors of the CLI, with the reason as the code; `corruptHint` helps with damage. */
export const journalErrors = async <A>(run: () => A | Promise<A>, corruptHint?: string): Promise<A> => {
  const { JournalError } = await import("@logbrook/core/journal/JournalError")
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof JournalError)) throw error
    throw cliErrorOf(error, error.reason === "Corrupt" ? corruptHint : undefined)
  }
}
