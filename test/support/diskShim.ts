import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { outputOf } from "./runCommand.ts"

export type ShimOperation = "write" | "sync" | "truncate" | "create" | "rename" | "unlink"

export interface ShimRule {
  /** Files below it are concerned, and only those. */
  readonly directory: string
  /** What happens: see `diskShim.c`. */
  readonly does: "nosync" | "short" | "kill" | `errno ${number}` | `slow ${number}`
  /** The number of the operation at which it begins, from 1, in each process. */
  readonly at?: number
  readonly operations?: ReadonlyArray<ShimOperation>
  /** Of the files, those whose path contains it. */
  readonly match?: string
  /** Not once only. */
  readonly isSticky?: boolean
  /** Gets a line when it begins; of slow operations, one for each. */
  readonly logFile?: string
  /** Killed too, if a process that it starts is. */
  readonly parent?: number
}

let built: Promise<string> | undefined

const build = async (): Promise<string> => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-shim-"))
  process.on("exit", () => fs.rmSync(directory, { recursive: true, force: true }))
  const library = path.join(directory, "diskShim.so")
  const source = path.join(import.meta.dirname, "diskShim.c")
  await outputOf("gcc", ["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, source, "-ldl"])
  return library
}

/** The variables that make a process and those it starts do so. Built on first use, which needs gcc. */
export const shimEnv = async (rule: ShimRule): Promise<Readonly<Record<string, string>>> => {
  const { directory, does, at, operations, match, isSticky, logFile, parent } = rule
  return {
    LD_PRELOAD: await (built ??= build()),
    DISK_SHIM_DIR: directory,
    DISK_SHIM_DO: does,
    ...(at === undefined ? {} : { DISK_SHIM_AT: String(at) }),
    ...(operations === undefined ? {} : { DISK_SHIM_OPS: operations.join(" ") }),
    ...(match === undefined ? {} : { DISK_SHIM_MATCH: match }),
    ...(isSticky === true ? { DISK_SHIM_STICKY: "1" } : {}),
    ...(logFile === undefined ? {} : { DISK_SHIM_LOG: logFile }),
    ...(parent === undefined ? {} : { DISK_SHIM_PARENT: String(parent) })
  }
}
