import { JournalError } from "./JournalError.ts"
import type { Seq, SnapshotPage } from "./Journal.ts"
import { readExtents, type Extent } from "./Extent.ts"
import {
  decodePage,
  decodeSeal,
  sealIndex,
  settledTableNames,
  tableNames,
  throwIfUnknownFormat
} from "./LmdbSegment.ts"
import { LmdbFile, PageDamage, type Tree } from "./LmdbFile.ts"
import type { SegmentSource } from "./SegmentSource.ts"
import { readFrameHead } from "./Frame.ts"

const keyBytes = 12

const key = (wide: number, narrow: number, wideFirst: boolean): Buffer => {
  const bytes = Buffer.allocUnsafe(keyBytes)
  bytes.writeBigUInt64BE(BigInt(wide), wideFirst ? 0 : 4)
  bytes.writeUInt32BE(narrow, wideFirst ? 8 : 0)
  return bytes
}

/** A step that fails beside a writer is tried again: one of 64 frames takes 0.3 ms, a commit 0.4 ms and more. */
const attemptsMax = 10_000
const framesPerStep = 64
const stepBytes = 1024 * 1024
/** A little more than a run in one turn has. */
const scratchBytes = 128 * 1024

/**
 * A segment read without LMDB: damage is thrown as `PageDamage` and ends no process, and a server that writes to it does
 * not notice. `isWritten`: somebody may; each read is then repeated until it has seen one commit only.
 */
export class SegmentFile implements SegmentSource {
  readonly path: string
  readonly firstSeq: Seq
  readonly firstEventSeq: Seq
  /** Nobody writes to a settled one any more. */
  readonly isSettled: boolean
  readonly isWritten: boolean
  /** The seq after the last event, as a settled segment states it; those of the first version that settled do not. */
  readonly statedNextSeq: Seq | undefined
  readonly #file: LmdbFile
  #tables: ReadonlyMap<string, Tree>
  #scratch: Buffer | undefined

  private constructor(file: LmdbFile, isWritten: boolean) {
    this.path = file.path
    this.isWritten = isWritten
    this.#file = file
    this.#tables = new Map()
    if (!isWritten) this.#tables = tablesOf(file, tableNames)
    const { firstSeq, isSettled, firstEventSeq, nextSeq } = this.#read(() => metaOf(file))
    this.firstSeq = firstSeq
    this.isSettled = isSettled
    this.firstEventSeq = firstEventSeq
    this.statedNextSeq = nextSeq
    if (isSettled) this.#tables = tablesOf(file, settledTableNames)
  }

  /** Throws `PageDamage`, and `JournalError` "UnknownFormat". */
  static open(path: string, isWritten = false): SegmentFile {
    const file = openFile(path, isWritten)
    try {
      const segment = new SegmentFile(file, isWritten)
      file.throwIfGone()
      return segment
    } catch (error) {
      file.close()
      throw error
    }
  }

  #read<A>(run: () => A): A {
    const found = this.isWritten ? this.#readWritten(run) : run()
    this.#file.throwIfGone()
    return found
  }

  #readWritten<A>(run: () => A): A {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#file.refresh()
        this.#tables = tablesOf(this.#file, this.#tableNames)
        const found = run()
        if (this.#file.isStable()) return found
      } catch (error) {
        if (!(error instanceof PageDamage)) throw error
        this.#file.throwIfGone()
        if (attempt === attemptsMax || (attempt > 100 && this.#file.isStable())) throw error
      }
      if (attempt === attemptsMax) throw new JournalError("Io", `${this.path} changes faster than it can be read`)
    }
  }

  get #tableNames(): ReadonlyArray<string> {
    return this.isSettled ? settledTableNames : tableNames
  }

  #table(name: (typeof settledTableNames)[number]): Tree {
    return this.#tables.get(name)!
  }

  scan(from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean): boolean {
    for (let next = from; ;) {
      const frames = this.#step(next, end)
      for (const [frame, key] of frames) if (!visit(frame, key)) return false
      const last = frames.at(-1)
      if (last === undefined) return true
      next = last[1] + 1
    }
  }

  /** The next frames, fewer with each attempt; none is visited before it is certain. */
  #step(from: Seq, end: Seq): ReadonlyArray<readonly [frame: Buffer, key: Seq]> {
    let framesMax = 2 * framesPerStep
    return this.#read(() => {
      framesMax = Math.max(1, Math.floor(framesMax / 2))
      const frames: Array<readonly [frame: Buffer, key: Seq]> = []
      let bytes = 0
      this.#file.walk(this.#table("timeline"), key(from, 0, false), (bytesOfKey, value) => {
        const seq = wholeKey(bytesOfKey, 4)
        if (seq >= end) return false
        const frame = value()
        frames.push([frame, seq])
        bytes += frame.length
        return frames.length < framesMax && bytes < stepBytes
      })
      return frames
    })
  }

  frame(seq: Seq): Buffer | undefined {
    return this.#read(() => this.#file.get(this.#table("timeline"), key(seq, 0, false)))
  }

  lastFrame(): Buffer | undefined {
    return this.#read(() => this.#file.last(this.#table("timeline")))
  }

  /** The seq after the last event. */
  get nextSeq(): Seq {
    if (this.statedNextSeq !== undefined) return this.statedNextSeq
    const frame = this.lastFrame()
    return frame === undefined ? this.firstSeq : readFrameHead(frame).nextSeq
  }

  chunk(seq: Seq, index: number): Buffer | undefined {
    return this.#read(() => this.#file.get(this.#table("chunks"), key(seq, index, true)))
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return this.#read(() => this.#file.get(this.#table("batches"), key(lastOffset, logId, false)))
  }

  /**
   * As `batch`, but valid until the next call only: a new buffer for each batch of 37 to 56 KB was a fifth to a third of a
   * settling's CPU (273 MB of records of 100 B 0.51 to 0.42 s, 328 MB of 1 KB 0.40 to 0.27).
   */
  batchView(logId: number, lastOffset: number): Buffer | undefined {
    this.#scratch ??= Buffer.allocUnsafeSlow(scratchBytes)
    return this.#read(() => this.#file.get(this.#table("batches"), key(lastOffset, logId, false), this.#scratch))
  }

  visitRuns(visit: (extent: Extent) => void): void {
    if (!this.isSettled) return
    const pages = this.#read(() => {
      const found: Array<Buffer> = []
      this.#file.walk(this.#table("extents"), Buffer.alloc(0), (_bytes, value) => found.push(value()) > 0)
      return found
    })
    for (const page of pages) readExtents(page, this.path, visit)
  }

  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    return this.#read(() => {
      const found: Array<{ fromSeq: Seq; pages: number }> = []
      this.#file.walk(this.#table("snapshots"), Buffer.alloc(0), (bytes, value) => {
        if (bytes.length !== keyBytes || bytes.readUInt32BE(8) !== sealIndex) return true
        const fromSeq = wholeKey(bytes, 0)
        const pages = decodeSeal(fromSeq, value())
        if (pages !== undefined) found.unshift({ fromSeq, pages })
        return true
      })
      return found
    })
  }

  /** The bytes that frames and snapshots take of a settled segment's file. */
  get historyBytes(): number {
    const trees = [this.#table("timeline"), this.#table("snapshots")]
    const pages = trees.map(({ branchPages, leafPages, overflowPages }) => branchPages + leafPages + overflowPages)
    return pages.reduce((sum, each) => sum + each, 0) * this.#file.pageBytes
  }

  /** The places of all snapshot pages that are here, also of snapshots whose seal is in the next segment. */
  snapshotPages(): ReadonlyArray<{ readonly fromSeq: Seq; readonly index: number }> {
    return this.#read(() => {
      const found: Array<{ fromSeq: Seq; index: number }> = []
      this.#file.walk(this.#table("snapshots"), Buffer.alloc(0), (bytes) => {
        const index = bytes.length === keyBytes ? bytes.readUInt32BE(8) : sealIndex
        if (index !== sealIndex) found.push({ fromSeq: wholeKey(bytes, 0), index })
        return true
      })
      return found
    })
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    const value = this.#read(() => this.#file.get(this.#table("snapshots"), key(fromSeq, index, true)))
    return value && decodePage(fromSeq, index, value)
  }

  /** Tells of every page that is not what it must be, and of snapshots' values that fail their checksums. */
  check(onDamage: (message: string) => void): void {
    this.#file.check(this.#tableNames, ({ message }) => onDamage(message))
    try {
      this.#checkSnapshots(onDamage)
    } catch (error) {
      if (!(error instanceof PageDamage)) throw error
      onDamage(error.message)
    }
  }

  #checkSnapshots(onDamage: (message: string) => void): void {
    this.#file.walk(this.#table("snapshots"), Buffer.alloc(0), (bytes, value) => {
      const fromSeq = wholeKey(bytes, 0)
      const index = bytes.readUInt32BE(8)
      const isWhole = index === sealIndex ? decodeSeal(fromSeq, value()) : decodePage(fromSeq, index, value())
      const what = index === sealIndex ? "the seal" : `page ${index}`
      if (isWhole === undefined) onDamage(`${what} of the snapshot from seq ${fromSeq} fails its checksum`)
      return true
    })
  }

  close(): void {
    this.#file.close()
  }
}

/** Beside a writer, a commit may fall between two reads. */
const openFile = (path: string, isWritten: boolean): LmdbFile => {
  for (let attempt = 1; ; attempt++) {
    try {
      return LmdbFile.open(path)
    } catch (error) {
      if (!isWritten || attempt === 100 || !(error instanceof PageDamage)) throw error
    }
  }
}

const tablesOf = (file: LmdbFile, names: ReadonlyArray<string>): ReadonlyMap<string, Tree> => {
  const tables = new Map<string, Tree>()
  for (const name of names) {
    const tree = file.table(name)
    if (tree === undefined) throw new PageDamage(0, `there is no table ${name}`)
    tables.set(name, tree)
  }
  return tables
}

/** A key's 8 bytes. Throws `PageDamage` for a key that is none of ours. */
const wholeKey = (bytes: Buffer, at: number): number => {
  const value = bytes.length === keyBytes ? bytes.readBigUInt64BE(at) : undefined
  if (value === undefined || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new PageDamage(0, `a key of ${bytes.length} bytes is none of a segment's`)
  }
  return Number(value)
}

interface Meta {
  readonly firstSeq: Seq
  readonly isSettled: boolean
  readonly firstEventSeq: Seq
  /** Known of settled segments, but for those of the first version that settled. */
  readonly nextSeq: Seq | undefined
}

const metaOf = (file: LmdbFile): Meta => {
  const bytes = file.value("meta")
  if (bytes === undefined) throw new PageDamage(0, "there is no format version")
  let meta: { readonly [name: string]: unknown }
  try {
    meta = JSON.parse(bytes.toString()) as typeof meta
  } catch {
    throw new PageDamage(0, "the format version cannot be read")
  }
  throwIfUnknownFormat(file.path, meta["format"])
  if (!Number.isSafeInteger(meta["firstSeq"])) throw new PageDamage(0, "the first seq cannot be read")
  const firstSeq = meta["firstSeq"] as number
  const firstEventSeq = wholeNumber(meta["firstEventSeq"]) ?? firstSeq
  return { firstSeq, isSettled: meta["isSettled"] === true, firstEventSeq, nextSeq: wholeNumber(meta["nextSeq"]) }
}

const wholeNumber = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) ? (value as number) : undefined
