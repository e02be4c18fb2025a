import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import type { Io } from "./Io.ts"

/** Whether to go on: `--yes`, or what somebody at the terminal answers. Throws `CliError` "E_CONFIRM" where nobody can. */
export const confirmed = async (args: Arguments, io: Io, question: string): Promise<boolean> => {
  if (args.flag("yes")) return true
  if (!io.isTty || process.stdin.isTTY !== true) {
    throw new CliError(exitCodes.usage, "E_CONFIRM", "nobody can be asked: this deletes data", "add --yes")
  }
  const { createInterface } = await import("node:readline/promises")
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await lines.question(`${question} [y/N] `)
  lines.close()
  return /^y(es)?$/i.test(answer.trim())
}
