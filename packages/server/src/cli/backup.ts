import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { BackedUp } from "@logbrook/core/backup/Backup"
import type { Restored, RestoreOptions } from "@logbrook/core/backup/Restore"
import { readingJournalLong } from "@logbrook/core/journal/readingJournal"
import { plainText } from "../plainText.ts"
import { exitCodes, usageError } from "./CliError.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { allDefinitions } from "./definitions.ts"
import { checkBackupAt, checkBackupTarget, checkFree, journalDirectoryOf } from "./directories.ts"
import { withJournalHints } from "./failures.ts"
import { bytesText, counted, type Io, outJson } from "./Io.ts"
import { pointOf } from "./optionValues.ts"
import { beNice, makeProgress, stepping, type Progress } from "./progress.ts"

/** Into a directory, or through one beside it into one file. */
const backUpInto = async (target: string, dataDir: string, progress: Progress): Promise<BackedUp> => {
  const [{ backUp }, { packBackup }, { isArchive }] = await Promise.all([
    import("@logbrook/core/backup/Backup"),
    import("@logbrook/core/backup/archive"),
    import("@logbrook/core/backup/Manifest")
  ])
  const directory = isArchive(target) ? `${target}.building` : target
  const done = await backUp({ dataDir, target: directory, nowMs: Date.now, pause: stepping(progress) })
  if (isArchive(target)) {
    await packBackup(directory, target)
    fs.rmSync(directory, { recursive: true })
  }
  return done
}

const corruptHint = "logbrook doctor tells what is damaged; the last backup is still there"

export const backup: Run = (args, io) =>
  Effect.gen(function* () {
    const target = args.positionals[0]!
    const dataDir = yield* journalDirectoryOf(args, io)
    yield* checkBackupTarget(target)
    beNice()
    const progress = makeProgress(io, "backing up")
    const { manifest, copiedSegments, copiedBytes, keptSegments } = yield* readingJournalLong(() =>
      backUpInto(target, dataDir, progress)
    ).pipe(withJournalHints({ Corrupt: corruptHint }), Effect.ensuring(Effect.sync(progress.end)))
    if (args.flag("json")) {
      outJson(io, { target, copiedSegments, copiedBytes, keptSegments, ...manifest }, 2)
      return exitCodes.ok
    }
    const { firstSeq, nextSeq, lastTimeMs } = manifest
    const last = nextSeq === firstSeq ? "no events" : `#${firstSeq} to #${nextSeq - 1} (${iso(lastTimeMs)})`
    const kept = `${keptSegments} ${keptSegments === 1 ? "was" : "were"} there already`
    io.out(plainText(`${target}: ${last}, all read again and whole`))
    io.out(`  ${counted(copiedSegments, "segment")} copied (${bytesText(copiedBytes)}), ${kept}`)
    return exitCodes.ok
  })

const iso = (timeMs: number): string => new Date(timeMs).toISOString()

/** From a directory, or from one file through a directory beside what is made. */
const restoreFrom = async (options: RestoreOptions): Promise<Restored> => {
  const [core, { unpackBackup }, { isArchive }, { makeDirectory }] = await Promise.all([
    import("@logbrook/core/backup/Restore"),
    import("@logbrook/core/backup/archive"),
    import("@logbrook/core/backup/Manifest"),
    import("@logbrook/core/makeDirectory")
  ])
  const { backup, dataDir } = options
  if (!isArchive(backup)) return core.restore(options)
  const beside = path.resolve(dataDir)
  makeDirectory(path.dirname(beside))
  const directory = fs.mkdtempSync(`${beside}.unpacking-`)
  try {
    await unpackBackup(backup, directory)
    return await core.restore({ ...options, backup: directory })
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const printRestored = (args: Arguments, io: Io, dataDir: string, done: Restored): void => {
  const { firstSeq, nextSeq, lastTimeMs, diagnosis, manifest } = done
  const left = manifest.nextSeq - nextSeq
  const { events, records, bytes } = diagnosis
  if (args.flag("json")) {
    const time = iso(lastTimeMs)
    const told = { directory: dataDir, firstSeq, lastSeq: nextSeq - 1, time, left, events, records, bytes }
    outJson(io, told, 2)
    return
  }
  io.out(plainText(`${dataDir}: #${firstSeq} to #${nextSeq - 1} (${iso(lastTimeMs)}), read again and whole`))
  io.out(`  ${counted(events, "event")}, ${counted(records, "record")}, ${bytesText(bytes)}`)
  if (left > 0) io.out(`  ${counted(left, "later event")} of the backup ${left === 1 ? "was" : "were"} left out`)
  io.out(plainText(`  logbrook serve --data-dir ${dataDir}`))
}

export const restore: Run = (args, io) =>
  Effect.gen(function* () {
    const untilText = args.text("until")
    const until = untilText === undefined ? undefined : yield* pointOf(io, untilText)
    const dataDir = args.text("data-dir")
    if (dataDir === undefined) {
      const error = usageError("--data-dir is missing", "--data-dir DIR, an empty directory or a new one")
      return yield* Effect.fail(error)
    }
    const backup = args.positionals[0]!
    const progress = makeProgress(io, "restoring")
    const pause = stepping(progress)
    const definitions = yield* allDefinitions
    yield* checkBackupAt(backup)
    yield* checkFree(dataDir, "--data-dir")
    const done = yield* readingJournalLong(() =>
      restoreFrom({ backup, dataDir, until, definitions, nowMs: Date.now, pause })
    ).pipe(Effect.ensuring(Effect.sync(progress.end)))
    printRestored(args, io, dataDir, done)
    return exitCodes.ok
  })
