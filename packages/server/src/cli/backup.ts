import * as fs from "node:fs"
import * as path from "node:path"
import type { BackedUp } from "@logbrook/core/backup/Backup"
import type { Restored, RestoreOptions } from "@logbrook/core/backup/Restore"
import { exitCodes, usageError } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { journalDirectoryOf, throwIfNoBackup, throwIfNoBackupTarget, throwIfTaken } from "./directories.ts"
import { bytesText, counted, type Io } from "./Io.ts"
import { journalErrors } from "./journalErrors.ts"
import { pointOf } from "./options.ts"
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

export const backup = async (args: Arguments, io: Io): Promise<number> => {
  const target = args.positionals[0]!
  const dataDir = await journalDirectoryOf(args, io)
  await throwIfNoBackupTarget(target)
  beNice()
  const progress = makeProgress(io, "backing up")
  const hint = "logbrook doctor tells what is damaged; the last backup is still there"
  const done = await journalErrors(() => backUpInto(target, dataDir, progress), hint).finally(progress.end)
  const { manifest, copiedSegments, copiedBytes, keptSegments } = done
  if (args.flag("json")) {
    io.out(JSON.stringify({ target, copiedSegments, copiedBytes, keptSegments, ...manifest }, null, 2))
    return exitCodes.ok
  }
  const { firstSeq, nextSeq, lastTimeMs } = manifest
  const last = nextSeq === firstSeq ? "no events" : `#${firstSeq} to #${nextSeq - 1} (${iso(lastTimeMs)})`
  io.out(`${target}: ${last}, all read again and whole`)
  io.out(
    `  ${counted(copiedSegments, "segment")} copied (${bytesText(copiedBytes)}), ${keptSegments} ${keptSegments === 1 ? "was" : "were"} there already`
  )
  return exitCodes.ok
}

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
  await throwIfNoBackup(backup)
  await throwIfTaken(dataDir, "--data-dir")
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

export const restore = async (args: Arguments, io: Io): Promise<number> => {
  const untilText = args.text("until")
  const until = untilText === undefined ? undefined : pointOf(io, untilText)
  const dataDir = args.text("data-dir")
  if (dataDir === undefined)
    throw usageError("--data-dir is missing", "--data-dir DIR, an empty directory or a new one")
  const [{ definitions }, { defaultLimits }] = await Promise.all([
    import("../Broker.ts"),
    import("@logbrook/core/Limits")
  ])
  const backup = args.positionals[0]!
  const progress = makeProgress(io, "restoring")
  const options = {
    backup,
    dataDir,
    until,
    definitions: definitions(defaultLimits),
    nowMs: Date.now,
    pause: stepping(progress)
  }
  const done = await journalErrors(() => restoreFrom(options)).finally(progress.end)
  const { firstSeq, nextSeq, lastTimeMs, diagnosis, manifest } = done
  const left = manifest.nextSeq - nextSeq
  const { events, records, bytes } = diagnosis
  if (args.flag("json")) {
    const time = iso(lastTimeMs)
    io.out(
      JSON.stringify(
        { directory: dataDir, firstSeq, lastSeq: nextSeq - 1, time, left, events, records, bytes },
        null,
        2
      )
    )
    return exitCodes.ok
  }
  io.out(`${dataDir}: #${firstSeq} to #${nextSeq - 1} (${iso(lastTimeMs)}), read again and whole`)
  io.out(`  ${counted(events, "event")}, ${counted(records, "record")}, ${bytesText(bytes)}`)
  if (left > 0) io.out(`  ${counted(left, "later event")} of the backup ${left === 1 ? "was" : "were"} left out`)
  io.out(`  logbrook serve --data-dir ${dataDir}`)
  return exitCodes.ok
}
