import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { DirectoryContents } from "@logbrook/core/doctor/directoryContents"
import type { JournalError } from "@logbrook/core/journal/JournalError"
import { readingJournal } from "@logbrook/core/journal/readingJournal"
import type { ConfigFileUnreadable, ConfigInvalid } from "../config/Config.ts"
import { CliError, exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { configOf } from "./configFiles.ts"
import type { Io } from "./Io.ts"

/** The configuration is not looked at, whatever is wrong with it, when the directory is named beside it. */
export const directoryOf = (args: Arguments, io: Io): Effect.Effect<string, ConfigFileUnreadable | ConfigInvalid> => {
  const named = args.text("data-dir") ?? (io.env["LOGBROOK_DATA_DIR"] || undefined)
  return named === undefined ? Effect.map(configOf(args, io), ({ config }) => config.dataDir) : Effect.succeed(named)
}

/** Fails for a path that cannot be read. */
const contentsAt = (place: string): Effect.Effect<DirectoryContents, JournalError> =>
  Effect.flatMap(
    Effect.promise(() => import("@logbrook/core/doctor/directoryContents")),
    ({ directoryContents }) => readingJournal(() => directoryContents(place))
  )

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
const journalBelow = (directory: string): Effect.Effect<string | undefined, JournalError> =>
  Effect.gen(function* () {
    const entries = fs.readdirSync(directory, { withFileTypes: true })
    for (const { name } of entries.filter((each) => each.isDirectory())) {
      const below = path.join(directory, name)
      if ((yield* contentsAt(below)) === "journal") return below
    }
    return undefined
  })

const adviceFor = (place: string, contents: DirectoryContents): Effect.Effect<string, JournalError> =>
  Effect.gen(function* () {
    if (contents === "backup" || contents === "archive") {
      return `logbrook restore ${place} --data-dir DIR makes a data directory of it`
    }
    if (contents === "lost") return "logbrook restore makes a data directory from a backup"
    const below = contents === "other" ? yield* journalBelow(place) : undefined
    if (below !== undefined) return `${below} is a data directory: --data-dir ${below}`
    return "--data-dir names the directory of a server, ./data by default; logbrook serve makes one"
  })

/** "E_NO_JOURNAL" for a path that is no data directory, saying what it is. */
export const checkJournalAt = (directory: string): Effect.Effect<void, CliError | JournalError> =>
  Effect.gen(function* () {
    const contents = yield* contentsAt(directory)
    if (contents === "journal") return
    const message = `there is no journal: ${directory} ${nature[contents]}`
    const advice = yield* adviceFor(directory, contents)
    yield* Effect.fail(new CliError(exitCodes.notFound, "E_NO_JOURNAL", message, advice))
  })

/** The data directory of a command that reads or writes its journal. */
export const journalDirectoryOf = (args: Arguments, io: Io) =>
  Effect.tap(directoryOf(args, io), (directory) => checkJournalAt(directory))

/** "E_NO_BACKUP" for a path that is no backup, saying what it is. */
export const checkBackupAt = (place: string): Effect.Effect<void, CliError | JournalError> =>
  Effect.flatMap(contentsAt(place), (contents) => {
    if (contents === "backup" || contents === "archive") return Effect.void
    const hint =
      contents === "journal"
        ? `logbrook backup DIR --data-dir ${place} makes a backup of it`
        : "a backup is a directory with backup.json, or one file NAME.tar"
    const message = `there is no backup: ${place} ${nature[contents]}`
    return Effect.fail(new CliError(exitCodes.notFound, "E_NO_BACKUP", message, hint))
  })

const notEmpty = (place: string, contents: DirectoryContents, hint: string): Effect.Effect<never, CliError> =>
  Effect.fail(
    new CliError(
      exitCodes.failure,
      "E_NOT_EMPTY",
      `${place} is taken: it ${nature[contents]}`,
      `${hint}; nothing that is there is written over`
    )
  )

/** "E_NOT_EMPTY" for a path that cannot become a data directory, saying what it is. */
export const checkFree = (directory: string, option: string): Effect.Effect<void, CliError | JournalError> =>
  Effect.flatMap(contentsAt(directory), (contents) => {
    if (contents === "empty" || contents === "missing") return Effect.void
    return notEmpty(directory, contents, `name an empty directory or a new one with ${option}`)
  })

/** "E_NOT_EMPTY" for a path that is somebody's data or a file of another kind. */
export const checkBackupTarget = (place: string): Effect.Effect<void, CliError | JournalError> =>
  Effect.flatMap(contentsAt(place), (contents) => {
    if (contents !== "journal" && contents !== "lost" && contents !== "file") return Effect.void
    return notEmpty(place, contents, "name the last backup, an empty directory, a new one, or one file NAME.tar")
  })
