import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { clientTlsOf, CommandTls } from "./clients/clientTls.ts"
import type { ExitCode } from "./CliError.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { cliErrorOf } from "./failures.ts"
import type { Io } from "./Io.ts"

/** Its exit code. Rejects with the `CliError` of what it failed with, or with a defect. */
export const runCommand = async (run: Run, args: Arguments, io: Io): Promise<ExitCode> => {
  const whole = Effect.flatMap(clientTlsOf(args), (tls) => Effect.provideService(run(args, io), CommandTls, tls))
  const exit = await Effect.runPromiseExit(Effect.mapError(whole, cliErrorOf))
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}
