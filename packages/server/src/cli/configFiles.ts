import * as fs from "node:fs"
import { getHeapStatistics } from "node:v8"
import * as Effect from "effect/Effect"
import { ConfigFileUnreadable, type ConfigInvalid } from "../config/Config.ts"
import type { ConfigSources, LoadedConfig } from "../config/loadConfig.ts"
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
export const configOf = (args: Arguments, io: Io): Effect.Effect<LoadedConfig, ConfigFileUnreadable | ConfigInvalid> =>
  Effect.gen(function* () {
    const { loadConfig } = yield* Effect.promise(() => import("../config/loadConfig.ts"))
    const files = yield* filesOf(args, io)
    const heapBytesMax = getHeapStatistics().heap_size_limit
    return yield* loadConfig({ flags: args.values, env: io.env, files, heapBytesMax })
  })
