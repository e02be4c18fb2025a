import { exitCodes } from "./CliError.ts"
import { requestJson } from "./client.ts"
import type { Arguments } from "./commandLine.ts"
import type { Io } from "./Io.ts"
import { urlOf } from "./options.ts"

export const trust = async (args: Arguments, io: Io): Promise<number> => {
  const path = "/api/v1/cluster/trust-clock"
  const { wasHeld } = await requestJson<{ readonly wasHeld: boolean }>(urlOf(args, io), path, "POST", {})
  if (args.flag("json")) io.out(JSON.stringify({ wasHeld }))
  else io.out(wasHeld ? "retention goes by the machine's clock again" : "retention goes by the machine's clock already")
  return exitCodes.ok
}
