import * as fs from "node:fs"
import { getHeapStatistics } from "node:v8"
import type { ConfigInvalid } from "../config/Config.ts"
import type { ConfigSources, LoadedConfig } from "../config/loadConfig.ts"
import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import type { Io } from "./Io.ts"

const standardFiles = ["logbrook.yaml", "/etc/logbrook/logbrook.yaml"]

/** The named file, or the first of the standard ones that is there. Throws `CliError` for a named one that cannot be read. */
const filesOf = (args: Arguments, { env }: Io): ConfigSources["files"] => {
  const named = args.text("config") ?? (env["LOGBROOK_CONFIG"] || undefined)
  const name = named ?? standardFiles.find((each) => fs.existsSync(each))
  if (name === undefined) return []
  try {
    return [{ name, text: fs.readFileSync(name, "utf8") }]
  } catch (error) {
    throw new CliError(exitCodes.usage, "E_CONFIG_FILE", `cannot read ${name}: ${(error as Error).message}`)
  }
}

/** All that is wrong, a line each. */
const linesOf = ({ problems }: ConfigInvalid): ReadonlyArray<string> =>
  problems.map(({ path, origin, message, didYouMean }) => {
    const meant = didYouMean === undefined ? "" : ` (did you mean ${didYouMean}?)`
    return `${path === "" ? "" : `${path}: `}${message}${meant} [${origin}]`
  })

/** From flags, environment and file. Throws `CliError` "E_CONFIG" with every problem. */
export const configOf = async (args: Arguments, io: Io): Promise<LoadedConfig> => {
  const [{ loadWithOrigins }, { ConfigInvalid }] = await Promise.all([
    import("../config/loadConfig.ts"),
    import("../config/Config.ts")
  ])
  try {
    const heapBytesMax = getHeapStatistics().heap_size_limit
    return loadWithOrigins({ flags: args.values, env: io.env, files: filesOf(args, io), heapBytesMax })
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error
    const hint = "logbrook config show tells each value and where it comes from"
    throw new CliError(exitCodes.usage, "E_CONFIG", error.message, hint, linesOf(error))
  }
}
