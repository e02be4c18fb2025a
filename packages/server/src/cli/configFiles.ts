import * as fs from "node:fs"
import { getHeapStatistics } from "node:v8"
import * as Effect from "effect/Effect"
import { ConfigFileUnreadable, type ConfigInvalid } from "../config/Config.ts"
import type { ConfigSources, LoadedConfig } from "../config/loadConfig.ts"
import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import type { Io } from "./Io.ts"

const standardFiles = ["logbrook.yaml", "/etc/logbrook/logbrook.yaml"]

/** The named file, or the first of the standard ones that is there. */
const filesOf = (args: Arguments, { env }: Io): Effect.Effect<ConfigSources["files"], ConfigFileUnreadable> => {
  const named = args.text("config") ?? (env["LOGBROOK_CONFIG"] || undefined)
  const file = named ?? standardFiles.find((each) => fs.existsSync(each))
  if (file === undefined) return Effect.succeed([])
  return Effect.try({
    try: () => [{ name: file, text: fs.readFileSync(file, "utf8") }],
    catch: (error) => new ConfigFileUnreadable({ file, message: (error as Error).message })
  })
}

/** From flags, environment and file. The schema is loaded when it is needed. */
const load = (args: Arguments, io: Io): Effect.Effect<LoadedConfig, ConfigFileUnreadable | ConfigInvalid> =>
  Effect.gen(function* () {
    const { loadConfig } = yield* Effect.promise(() => import("../config/loadConfig.ts"))
    const files = yield* filesOf(args, io)
    const heapBytesMax = getHeapStatistics().heap_size_limit
    return yield* loadConfig({ flags: args.values, env: io.env, files, heapBytesMax })
  })

/** All that is wrong, a line each. */
const linesOf = ({ problems }: ConfigInvalid): ReadonlyArray<string> =>
  problems.map(({ path, origin, message, didYouMean }) => {
    const meant = didYouMean === undefined ? "" : ` (did you mean ${didYouMean}?)`
    return `${path === "" ? "" : `${path}: `}${message}${meant} [${origin}]`
  })

const cliErrorOf = (failure: ConfigFileUnreadable | ConfigInvalid): CliError => {
  if (failure._tag === "ConfigFileUnreadable") {
    return new CliError(exitCodes.usage, "E_CONFIG_FILE", `cannot read ${failure.file}: ${failure.message}`)
  }
  const hint = "logbrook config show tells each value and where it comes from"
  return new CliError(exitCodes.usage, "E_CONFIG", failure.message, hint, linesOf(failure))
}

/** Throws `CliError` "E_CONFIG" with every problem, or "E_CONFIG_FILE". */
export const configOf = async (args: Arguments, io: Io): Promise<LoadedConfig> => {
  const loaded = await Effect.runPromise(Effect.either(load(args, io)))
  if (loaded._tag === "Left") throw cliErrorOf(loaded.left)
  return loaded.right
}
