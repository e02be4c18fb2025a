import * as fs from "node:fs"
import * as path from "node:path"
import type { DirectoryContents } from "@logbrook/core/doctor/directoryContents"
import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { configOf } from "./configFiles.ts"
import type { Io } from "./Io.ts"
import { journalErrors } from "./journalErrors.ts"

/** The configuration is not looked at, whatever is wrong with it, when the directory is named beside it. */
export const directoryOf = async (args: Arguments, io: Io): Promise<string> =>
  args.text("data-dir") ?? (io.env["LOGBROOK_DATA_DIR"] || (await configOf(args, io)).config.dataDir)

/** Throws `CliError` for a path that cannot be read. */
const contentsAt = async (place: string): Promise<DirectoryContents> => {
  const { directoryContents } = await import("@logbrook/core/doctor/directoryContents")
  return journalErrors(() => directoryContents(place))
}

/** The nature of a path, for a sentence that begins with the path. */
const nature: Readonly<Record<DirectoryContents, string>> = {
  journal: "is a data directory",
  backup: "is a backup",
  partOfBackup: "is a backup that was not finished",
  lost: "is a data directory whose segments (seg-*.mdb) are all gone",
  empty: "is empty",
  missing: "does not exist",
  archive: "is a backup in one file",
  file: "is a file",
  other: "holds other files"
}

/** `data` is where a server keeps its journal by default, and its parent is easily named instead. */
const journalBelow = async (directory: string): Promise<string | undefined> => {
  for (const { name } of fs.readdirSync(directory, { withFileTypes: true }).filter((each) => each.isDirectory())) {
    const below = path.join(directory, name)
    if ((await contentsAt(below)) === "journal") return below
  }
  return undefined
}

const adviceFor = async (place: string, contents: DirectoryContents): Promise<string> => {
  if (contents === "backup" || contents === "archive") {
    return `logbrook restore ${place} --data-dir DIR makes a data directory of it`
  }
  if (contents === "lost") return "logbrook restore makes a data directory from a backup"
  const below = contents === "other" ? await journalBelow(place) : undefined
  if (below !== undefined) return `${below} is a data directory: --data-dir ${below}`
  return "--data-dir names the directory of a server, ./data by default; logbrook serve makes one"
}

/** Throws `CliError` "E_NO_JOURNAL" for a path that is no data directory, saying what it is. */
export const throwIfNoJournal = async (directory: string): Promise<void> => {
  const contents = await contentsAt(directory)
  if (contents === "journal") return
  const message = `there is no journal: ${directory} ${nature[contents]}`
  throw new CliError(exitCodes.notFound, "E_NO_JOURNAL", message, await adviceFor(directory, contents))
}

/** The data directory of a command that reads or writes its journal. Throws `CliError` for one that holds none. */
export const journalDirectoryOf = async (args: Arguments, io: Io): Promise<string> => {
  const directory = await directoryOf(args, io)
  await throwIfNoJournal(directory)
  return directory
}

/** Throws `CliError` "E_NO_BACKUP" for a path that is no backup, saying what it is. */
export const throwIfNoBackup = async (place: string): Promise<void> => {
  const contents = await contentsAt(place)
  if (contents === "backup" || contents === "archive") return
  const hint =
    contents === "journal"
      ? `logbrook backup DIR --data-dir ${place} makes a backup of it`
      : "a backup is a directory with backup.json, or one file NAME.tar"
  throw new CliError(exitCodes.notFound, "E_NO_BACKUP", `there is no backup: ${place} ${nature[contents]}`, hint)
}

const notEmpty = (place: string, contents: DirectoryContents, hint: string): CliError =>
  new CliError(
    exitCodes.failure,
    "E_NOT_EMPTY",
    `${place} is taken: it ${nature[contents]}`,
    `${hint}; nothing that is there is written over`
  )

/** Throws `CliError` "E_NOT_EMPTY" for a path that cannot become a data directory, saying what it is. */
export const throwIfTaken = async (directory: string, option: string): Promise<void> => {
  const contents = await contentsAt(directory)
  if (contents === "empty" || contents === "missing") return
  throw notEmpty(directory, contents, `name an empty directory or a new one with ${option}`)
}

/** Throws `CliError` "E_NOT_EMPTY" for a path that is somebody's data or a file of another kind. */
export const throwIfNoBackupTarget = async (place: string): Promise<void> => {
  const contents = await contentsAt(place)
  if (contents !== "journal" && contents !== "lost" && contents !== "file") return
  throw notEmpty(place, contents, "name the last backup, an empty directory, a new one, or one file NAME.tar")
}
