import * as Effect from "effect/Effect"
import { exitCodes } from "./CliError.ts"
import { requestJson } from "./client.ts"
import type { Run } from "./commandLine.ts"
import { outJson } from "./Io.ts"
import { urlOf } from "./optionValues.ts"

export const trust: Run = (args, io) =>
  Effect.gen(function* () {
    const path = "/api/v1/cluster/trust-clock"
    const { wasHeld } = yield* requestJson<{ readonly wasHeld: boolean }>(
      yield* urlOf(args, io),
      path,
      ["wasHeld"],
      "POST",
      {}
    )
    if (args.flag("json")) outJson(io, { wasHeld })
    else io.out(`retention goes by the machine's clock ${wasHeld ? "again" : "already"}`)
    return exitCodes.ok
  })
