import { once } from "node:events"
import * as Effect from "effect/Effect"
import { plainText } from "../plainText.ts"
import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import type { Io } from "./Io.ts"

/** Whoever ends the input, or interrupts, has not said yes. */
const asked = async (question: string): Promise<boolean> => {
  const { createInterface } = await import("node:readline/promises")
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const closed = once(lines, "close").then(() => "")
  const answer = await Promise.race([lines.question(`${plainText(question)} [y/N] `).catch(() => ""), closed])
  lines.close()
  return /^y(es)?$/i.test(answer.trim())
}

/** Whether to go on: `--yes`, or what somebody at the terminal answers; "E_CONFIRM" where nobody can. */
export const confirmed = (args: Arguments, io: Io, question: string): Effect.Effect<boolean, CliError> => {
  if (args.flag("yes")) return Effect.succeed(true)
  if (io.isTty && process.stdin.isTTY === true) return Effect.promise(() => asked(question))
  return Effect.fail(new CliError(exitCodes.usage, "E_CONFIRM", "nobody can be asked whether to go on", "add --yes"))
}
