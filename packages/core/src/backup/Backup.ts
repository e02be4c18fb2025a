import * as fs from "node:fs"
import * as path from "node:path"
import { emptyChain } from "../doctor/ChainState.ts"
import { checkSegment } from "../doctor/checkSegment.ts"
import { Findings } from "../doctor/Finding.ts"
import { PageDamage } from "../journal/LmdbFile.ts"
import { ReadOnlyChain } from "../doctor/ReadOnlyChain.ts"
import { SegmentFile } from "../journal/SegmentFile.ts"
import type { ListedSegment } from "../doctor/segments.ts"
import type { SegmentSource } from "../journal/SegmentSource.ts"
import { readFrameHead } from "../journal/Frame.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { acquireLock, lockState, releaseLock } from "../journal/lock.ts"
import { syncDirectory } from "../journal/segmentFiles.ts"
import { makeDirectory } from "../makeDirectory.ts"
import { copySegment } from "./copySegment.ts"
import { copyFile, digestOf, throwIfNoRoom, writeWhole, type Pause } from "./files.ts"
import {
  backupFormat,
  copyName,
  copyPattern,
  encodeManifest,
  manifestFile,
  readManifest,
  type BackedUpSegment,
  type Manifest
} from "./Manifest.ts"
import { Pins } from "./Pins.ts"

export interface BackupOptions {
  readonly dataDir: string
  /** A directory of backups of this data directory, or an empty one, or none yet. */
  readonly target: string
  readonly nowMs: () => number
  /** Between two steps: bytes read since the last one, of about how many in all. */
  readonly pause: (bytes: number, bytesTotal: number) => Promise<void> | void
}

export interface BackedUp {
  readonly manifest: Manifest
  readonly copiedSegments: number
  readonly copiedBytes: number
  /** Were there already, and are still what the server has. */
  readonly keptSegments: number
}

/**
 * The tries of a backup whose segments cannot be kept: a segment that goes while it is read makes it begin again with
 * what there is.
 */
const attemptsMax = 5

class SegmentGone extends Error {
  readonly _tag = "SegmentGone"
}

/**
 * Copies a data directory up to the last event that is there at the beginning, beside a running server or without one.
 * Segments that are closed are copied once; the newest one's frames go to a file of their own. Each copy is read again
 * as a whole before `backup.json`, which makes the backup, replaces that of the last one.
 * Throws `JournalError`; the last backup is whole then.
 */
export const backUp = async (options: BackupOptions): Promise<BackedUp> => {
  const { dataDir, target } = options
  makeDirectory(target)
  acquireLock(target)
  try {
    const last = readManifest(target)
    throwIfForeign(target, last)
    const clusterId = clusterIdOf(dataDir)
    if (last !== undefined && last.clusterId !== clusterId) {
      throw new JournalError("Io", `${target} is a backup of another server (cluster ${last.clusterId || "unnamed"})`)
    }
    const pins = Pins.make(dataDir)
    try {
      return await untilWhole(new BackupRun(options, last, clusterId, pins), pins)
    } finally {
      pins.release()
    }
  } finally {
    releaseLock(target)
  }
}

const untilWhole = async (run: BackupRun, pins: Pins): Promise<BackedUp> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run.attempt()
    } catch (error) {
      if (!(error instanceof SegmentGone)) throw named(error)
      if (attempt < attemptsMax) continue
      const why = pins.refused === undefined ? "" : `; no hard link can keep them: ${pins.refused}`
      throw new JournalError("Io", `tried ${attemptsMax} times, and each time ${error.message}${why}`)
    }
  }
}

const named = (error: unknown): unknown =>
  error instanceof PageDamage ? new JournalError("Corrupt", `the data directory is damaged: ${error.message}`) : error

const clusterIdOf = (dataDir: string): string => {
  try {
    return fs.readFileSync(path.join(dataDir, "cluster-id"), "utf8").trim()
  } catch {
    return ""
  }
}

/** Throws `JournalError` "Io" for a directory that holds something else. */
const throwIfForeign = (target: string, last: Manifest | undefined): void => {
  if (last !== undefined) return
  const foreign = fs.readdirSync(target).find((name) => !copyPattern.test(name) && !isOwnLeftover(name))
  if (foreign !== undefined) throw new JournalError("Io", `${target} is not empty and no backup: it holds ${foreign}`)
}

const leftoverPattern = /\.(tmp|copy)(-lock)?$/
const isOwnLeftover = (name: string): boolean => name === "lock" || leftoverPattern.test(name)

class BackupRun {
  readonly #options: BackupOptions
  readonly #last: ReadonlyArray<BackedUpSegment>
  readonly #clusterId: string
  readonly #pins: Pins
  readonly #pause: Pause
  /** Copies that are there: the last backup's, and those of this one's attempts. */
  readonly #copies: Array<BackedUpSegment>
  #bytesTotal = 0

  constructor(options: BackupOptions, last: Manifest | undefined, clusterId: string, pins: Pins) {
    this.#options = options
    this.#last = last?.segments ?? []
    this.#copies = [...this.#last]
    this.#clusterId = clusterId
    this.#pins = pins
    this.#pause = (bytes) => options.pause(bytes, this.#bytesTotal)
  }

  async attempt(): Promise<BackedUp> {
    const { dataDir, target } = this.#options
    const { segments, unknown } = this.#pins.take()
    const strange = unknown.find((name) => name.startsWith("seg-"))
    if (strange !== undefined) {
      throw new JournalError("UnknownFormat", `${strange} is of another version, which must make the backup`)
    }
    const newest = segments.at(-1)
    if (newest === undefined) throw new JournalError("Io", `${dataDir} holds no journal`)
    this.#bytesTotal = segments.reduce((sum, { bytes }) => sum + bytes, 0)
    // First: the backup ends with the last event that is there when it begins.
    const newestCopy = await this.#unlessGone(newest, () => this.#newest(newest))
    const done: Array<BackedUpSegment> = []
    for (const segment of segments.slice(0, -1)) {
      const copy = await this.#unlessGone(segment, () => this.#closed(segment))
      if (done.length > 0 && done.at(-1)!.nextSeq !== copy.firstSeq) throw gap(segment, done.at(-1)!.nextSeq)
      done.push(copy)
    }
    if (done.length > 0 && done.at(-1)!.nextSeq !== newestCopy.firstSeq) throw gap(newest, done.at(-1)!.nextSeq)
    done.push(newestCopy)
    const manifest = this.#manifest(done)
    syncDirectory(target)
    writeWhole(path.join(target, manifestFile), encodeManifest(manifest))
    this.#removeOld(manifest)
    const copied = done.filter((copy) => !this.#last.includes(copy))
    return {
      manifest,
      copiedSegments: copied.length,
      copiedBytes: copied.reduce((sum, { bytes }) => sum + bytes, 0),
      keptSegments: done.length - copied.length
    }
  }

  /** A failure on a file that has gone meanwhile comes from that. */
  async #unlessGone<A>(segment: ListedSegment, run: () => Promise<A>): Promise<A> {
    try {
      const done = await run()
      await this.#pins.free(segment)
      return done
    } catch (error) {
      if (fs.existsSync(segment.file)) throw error
      throw gone(segment)
    }
  }

  /** Kept if there is a copy and it is the same; copied else. */
  async #closed(segment: ListedSegment): Promise<BackedUpSegment> {
    const { target } = this.#options
    const kept = this.#copies.findLast(({ name, isClosed }) => isClosed && name === segment.name)
    if (kept !== undefined && isThere(target, kept) && kept.bytes === segment.bytes) {
      const { sha256 } = await digestOf(segment.file, this.#pause)
      if (sha256 === kept.sha256) return kept
    }
    const building = path.join(target, `${segment.name}.tmp`)
    throwIfNoRoom(target, segment.bytes)
    const digest = await copyFile(segment.file, building, this.#pause)
    // Another segment may have begun in it.
    if (!fs.existsSync(segment.file)) throw gone(segment)
    const { firstSeq, nextSeq } = await this.#verified(segment.name, building)
    return this.#finish(segment.name, building, { ...digest, firstSeq, nextSeq, isClosed: true })
  }

  /** Up to the last event that is there now. */
  async #newest(segment: ListedSegment): Promise<BackedUpSegment> {
    const source = SegmentFile.open(segment.file, lockState(this.#options.dataDir).state !== "free")
    try {
      return await this.#upTo(source.nextSeq, segment, source)
    } finally {
      source.close()
    }
  }

  async #upTo(nextSeq: Seq, segment: ListedSegment, source: SegmentSource): Promise<BackedUpSegment> {
    const { target } = this.#options
    const kept = this.#copies.findLast(({ name, isClosed }) => !isClosed && name === segment.name)
    const isSame = kept?.nextSeq === nextSeq && isThere(target, kept) && this.#endsAlike(kept, source)
    if (kept !== undefined && isSame) return kept
    const building = path.join(target, `${segment.name}.copy`)
    throwIfNoRoom(target, segment.bytes)
    fs.rmSync(building, { force: true })
    await copySegment(source, building, { endSeq: nextSeq, pause: this.#pause, salvage: false })
    const copy = await this.#verified(segment.name, building)
    if (copy.nextSeq !== nextSeq) throw new JournalError("Corrupt", `${segment.name} ends at seq ${copy.nextSeq}`)
    const digest = await digestOf(building, () => undefined)
    return this.#finish(segment.name, building, { ...digest, firstSeq: copy.firstSeq, nextSeq, isClosed: false })
  }

  /** The same last frame: its time and checksum are those of no other history. */
  #endsAlike({ file }: BackedUpSegment, source: SegmentSource): boolean {
    const copy = SegmentFile.open(path.join(this.#options.target, file))
    try {
      const frame = copy.lastFrame()
      return frame !== undefined && source.frame(readFrameHead(frame).firstSeq)?.equals(frame) === true
    } finally {
      copy.close()
    }
  }

  #finish(name: string, building: string, rest: Omit<BackedUpSegment, "name" | "file">): BackedUpSegment {
    const file = copyName(name, rest.sha256)
    fs.renameSync(building, path.join(this.#options.target, file))
    const copy = { name, file, ...rest }
    this.#copies.push(copy)
    return copy
  }

  /** Reads a copy as a whole. Throws `JournalError` "Corrupt" with the first thing that is wrong with it. */
  async #verified(name: string, building: string): Promise<{ readonly firstSeq: Seq; readonly nextSeq: Seq }> {
    const findings = new Findings()
    const chain = emptyChain()
    const source = SegmentFile.open(building)
    try {
      await checkSegment(source, chain, findings, { endSeq: Number.MAX_SAFE_INTEGER, pause: this.#pause })
    } finally {
      source.close()
    }
    const wrong = findings.list.find(({ isDamage }) => isDamage)
    if (wrong === undefined) return { firstSeq: source.firstSeq, nextSeq: chain.nextSeq! }
    throw new JournalError(
      "Corrupt",
      `${name} is damaged${wrong.seq === undefined ? "" : ` at seq ${wrong.seq}`}: ${wrong.message}`
    )
  }

  /** Throws `SegmentGone` for a chain that begins behind the newest snapshot in it: a newer one is complete by now. */
  #manifest(segments: ReadonlyArray<BackedUpSegment>): Manifest {
    const { target, nowMs } = this.#options
    const links = segments.map(({ name, file, nextSeq, bytes }) => {
      const source = SegmentFile.open(path.join(target, file))
      return { name, source, firstSeq: source.firstSeq, nextSeq, bytes }
    })
    try {
      const chain = new ReadOnlyChain(links)
      const lastFrame = links.reduce<Buffer | undefined>((found, { source }) => source.lastFrame() ?? found, undefined)
      const { epoch = 0, timeMs = 0 } = lastFrame === undefined ? {} : readFrameHead(lastFrame)
      if (chain.firstSeq > 1 && (chain.snapshot(chain.nextSeq)?.fromSeq ?? 0) < chain.firstSeq) {
        throw new SegmentGone(`no snapshot behind seq ${chain.firstSeq}, where it begins, was complete`)
      }
      const { firstSeq, nextSeq } = chain
      const time = new Date(nowMs()).toISOString()
      return {
        format: backupFormat,
        clusterId: this.#clusterId,
        time,
        firstSeq,
        nextSeq,
        lastTimeMs: timeMs,
        epoch,
        segments
      }
    } finally {
      for (const { source } of links) source.close()
    }
  }

  /** Files of backups before, and of those that were cut short. */
  #removeOld({ segments }: Manifest): void {
    const { target } = this.#options
    const wanted = new Set(segments.map(({ file }) => file))
    for (const name of fs.readdirSync(target)) {
      const isOld = (copyPattern.test(name) && !wanted.has(name)) || leftoverPattern.test(name)
      if (isOld) fs.rmSync(path.join(target, name))
    }
  }
}

const gone = ({ name }: ListedSegment): SegmentGone =>
  new SegmentGone(`${name} was replaced, or expired, before it was copied`)

const gap = ({ name }: ListedSegment, expected: Seq): JournalError =>
  new JournalError("Gap", `${name} does not begin at seq ${expected}`)

const isThere = (target: string, { file, bytes }: BackedUpSegment): boolean =>
  fs.statSync(path.join(target, file), { throwIfNoEntry: false })?.size === bytes
