import { crc32c } from "@node-rs/crc32"
import * as fs from "node:fs"
import { open, type Database, type RootDatabase } from "lmdb"
import { readExtents, type Extent } from "./Extent.ts"
import type { Commit, Seq, SnapshotPage } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"
import { forgetStores } from "./lmdbStores.ts"

/** A place in one of a segment's tables: 12 bytes, big-endian, so that LMDB keeps them in order. */
export interface Key {
  readonly high: number
  readonly low: number
}

const twoTo32 = 0x1_0000_0000

/** `chunks` keep (seq, index) and the others (log id, offset) or (0, seq): 4 bytes and 8, in either order. */
const keyEncoder = (wideFirst: boolean) => ({
  writeKey: (key: Key, target: Uint8Array, start: number): number => {
    const view = target as Buffer
    const wide = wideFirst ? key.high : key.low
    const at = wideFirst ? start : start + 4
    writeU32(view, Math.floor(wide / twoTo32), at)
    writeU32(view, wide % twoTo32, at + 4)
    writeU32(view, wideFirst ? key.low : key.high, wideFirst ? start + 8 : start)
    return start + 12
  },
  readKey: (source: Uint8Array, start: number): Key => {
    const view = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
    const at = wideFirst ? start : start + 4
    const wide = view.readUInt32BE(at) * twoTo32 + view.readUInt32BE(at + 4)
    const narrow = view.readUInt32BE(wideFirst ? start + 8 : start)
    return wideFirst ? { high: wide, low: narrow } : { high: narrow, low: wide }
  }
})

const writeU32 = (target: Uint8Array, value: number, at: number): void => {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

/** Raised with each change of what a segment's tables hold, or of how a chain of them is put together. */
export const segmentFormat = 3
/** Format 2 knows no segment that was rewritten. */
const formatsRead: ReadonlyArray<unknown> = [2, segmentFormat]

/** Throws `JournalError` "UnknownFormat" for a format that this version does not read. */
export const throwIfUnknownFormat = (file: string, format: unknown): void => {
  if (formatsRead.includes(format)) return
  const known = formatsRead.join(" and ")
  throw new JournalError("UnknownFormat", `${file} has format ${String(format)}; this version reads formats ${known}`)
}

export const tableNames = ["timeline", "chunks", "batches", "snapshots"] as const

/** The tables of a settled segment, which has runs under `batches`, and in `extents` pages that tell of every run. */
export const settledTableNames = [...tableNames, "extents"] as const

/** Snapshot keys: (page index, from seq); the seal has the highest index. */
export const sealIndex = 0xffff_ffff
const pageHeadBytes = 12
const sealBytes = 8

/**
 * The CRC of a snapshot's page or seal, its key included, so that a page cannot pass for another, nor a seal count
 * fewer pages than were written.
 */
const snapshotCrc = (fromSeq: Seq, index: number, value: Buffer): number => {
  const key = Buffer.allocUnsafe(12)
  writeU32(key, Math.floor(fromSeq / twoTo32), 0)
  writeU32(key, fromSeq % twoTo32, 4)
  writeU32(key, index, 8)
  return crc32c(value.subarray(4), crc32c(key))
}

/** crc32c u32, seq i64, then the states. */
const encodePage = (fromSeq: Seq, index: number, { seq, bytes }: SnapshotPage): Buffer => {
  const value = Buffer.allocUnsafeSlow(pageHeadBytes + bytes.length)
  value.writeBigInt64LE(BigInt(seq), 4)
  bytes.copy(value, pageHeadBytes)
  value.writeUInt32LE(snapshotCrc(fromSeq, index, value), 0)
  return value
}

/** Undefined for a page that fails its checksum: a snapshot without it is none. */
export const decodePage = (fromSeq: Seq, index: number, value: Buffer): SnapshotPage | undefined => {
  if (value.length < pageHeadBytes || value.readUInt32LE(0) !== snapshotCrc(fromSeq, index, value)) return undefined
  return { seq: Number(value.readBigInt64LE(4)), bytes: value.subarray(pageHeadBytes) }
}

/** crc32c u32, pages u32. */
const encodeSeal = (fromSeq: Seq, pages: number): Buffer => {
  const value = Buffer.alloc(sealBytes)
  value.writeUInt32LE(pages, 4)
  value.writeUInt32LE(snapshotCrc(fromSeq, sealIndex, value), 0)
  return value
}

/** How many pages the snapshot has; undefined for a seal that fails its checksum. */
export const decodeSeal = (fromSeq: Seq, value: Buffer): number | undefined => {
  if (value.length !== sealBytes || value.readUInt32LE(0) !== snapshotCrc(fromSeq, sealIndex, value)) return undefined
  return value.readUInt32LE(4)
}

interface Meta {
  readonly format: number
  readonly firstSeq: Seq
  /** Written last then: a settled file that says so is complete. */
  readonly isSettled?: boolean
  /** The further facts that a settled file tells; files of the first version that settled do not. */
  readonly nextSeq?: Seq
  readonly firstEventSeq?: Seq
  readonly runBytes?: number
}

/** The range and sizes of a complete settled segment. */
export interface SettledRange {
  /** The seq after the last event whose records are here. */
  readonly nextSeq: Seq
  /** The oldest event whose frame is here; `nextSeq`: there is none. */
  readonly firstEventSeq: Seq
  /** The bytes of all runs. */
  readonly runBytes: number
}

type Table = Database<Buffer, never>

/**
 * An LMDB environment: a piece of the journal. Only its writer's process may open it, and `SegmentFile` reads it
 * beside the writer: a second process that opens an environment sets its writer back, and acknowledged commits are
 * lost.
 */
export class LmdbSegment {
  readonly path: string
  readonly firstSeq: Seq
  /** Where its timeline begins; with `nextSeq`, one after the last event, if it says so: there is none. */
  readonly firstEventSeq: Seq
  readonly nextSeq: Seq | undefined
  #runBytes: number | undefined
  #historyBytes: number | undefined
  readonly #root: RootDatabase<Buffer, string>
  readonly #timeline: Table
  readonly #chunks: Table
  readonly #batches: Table
  readonly #snapshots: Table
  /** The table of extents; only a settled segment has it. */
  readonly #extents: Table | undefined

  private constructor(path: string, root: RootDatabase<Buffer, string>, meta: Meta) {
    this.path = path
    this.#root = root
    this.firstSeq = meta.firstSeq
    this.firstEventSeq = meta.firstEventSeq ?? meta.firstSeq
    this.nextSeq = meta.nextSeq
    this.#runBytes = meta.runBytes
    const table = (name: string, wideFirst: boolean): Table =>
      root.openDB(name, { encoding: "binary", keyEncoder: keyEncoder(wideFirst) } as never) as never
    this.#timeline = table("timeline", false)
    this.#chunks = table("chunks", true)
    this.#batches = table("batches", false)
    this.#snapshots = table("snapshots", true)
    this.#extents = meta.isSettled === true ? table("extents", false) : undefined
  }

  /**
   * Gets its name once it is whole: a file of this name that is empty, or lacks its tables, is damaged. `spare`: a file
   * that shall be used for it.
   */
  static create(path: string, mapBytes: number, firstSeq: Seq, spare?: string): LmdbSegment {
    const building = underConstruction(path)
    // Removes what a crash has left there while a segment was made.
    for (const file of [building, `${building}-lock`]) fs.rmSync(file, { force: true })
    const root = openRoot(building, mapBytes)
    const meta: Meta = { format: segmentFormat, firstSeq }
    const segment = new LmdbSegment(path, root, meta)
    root.putSync("meta", Buffer.from(JSON.stringify(meta)))
    if (spare !== undefined) {
      overwriteHead(spare, fs.readFileSync(building))
      void segment.close()
      for (const file of [building, `${building}-lock`]) fs.rmSync(file)
      fs.renameSync(spare, path)
      return LmdbSegment.open(path, mapBytes)
    }
    if (building !== path) {
      fs.renameSync(`${building}-lock`, `${path}-lock`)
      fs.renameSync(building, path)
    }
    return segment
  }

  /** For a settled segment: to be filled, then `complete`. */
  static createSettled(path: string, mapBytes: number, firstSeq: Seq): LmdbSegment {
    const root = openRoot(path, mapBytes)
    return new LmdbSegment(path, root, { format: segmentFormat, firstSeq, isSettled: true })
  }

  get isSettled(): boolean {
    return this.#extents !== undefined
  }

  /** The bytes of the file up to the last page that was ever used; behind it may lie what the file was before. */
  get usedBytes(): number {
    const { pageSize, lastPageNumber } = this.#root.getStats() as Stats & { readonly lastPageNumber: number }
    return pageSize * (lastPageNumber + 1)
  }

  /** Throws `JournalError`: "Corrupt" for a file without format version, "UnknownFormat" for one with another. */
  static open(path: string, mapBytes: number): LmdbSegment {
    const root = openRoot(path, mapBytes)
    const bytes = root.getBinary("meta")
    if (bytes === undefined) {
      void root.close()
      throw new JournalError("Corrupt", `${path} has no format version`)
    }
    const meta = readMeta(bytes)
    try {
      throwIfUnknownFormat(path, meta?.format)
    } catch (error) {
      void root.close()
      throw error
    }
    return new LmdbSegment(path, root, meta!)
  }

  /** True once the commit and all before it are on disk; false for one that LMDB refused. */
  write(commit: Commit): Promise<boolean> {
    commit.chunks.forEach((bytes, index) => {
      guard(this.#chunks.put({ high: commit.firstSeq, low: index } as never, bytes, { append: true } as never))
    })
    for (const { logId, lastOffset, bytes } of commit.batches) {
      guard(this.#batches.put({ high: logId, low: lastOffset } as never, asBuffer(bytes)))
    }
    return confirmed(this.#timeline, { high: 0, low: commit.firstSeq }, (key) =>
      this.#timeline.put(key, commit.frame, { append: true } as never)
    )
  }

  /** As of `chunk` and `batch`, the view is valid until the process reads anything else of LMDB. */
  frame(seq: Seq): Buffer | undefined {
    return viewed(this.#timeline.getBinaryFast({ high: 0, low: seq } as never))
  }

  chunk(seq: Seq, index: number): Buffer | undefined {
    return viewed(this.#chunks.getBinaryFast({ high: seq, low: index } as never))
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return viewed(this.#batches.getBinaryFast({ high: logId, low: lastOffset } as never))
  }

  /** The key of the last frame that begins at or before `seq`. */
  floor(seq: Seq): Seq | undefined {
    for (const key of this.#timeline.getKeys({ start: { high: 0, low: seq } as never, reverse: true, limit: 1 })) {
      return (key as unknown as Key).low
    }
    return undefined
  }

  /** Visits the frames with keys from `from` below `end`, until `visit` says false; so does the answer then. */
  scan(from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean): boolean {
    const range = this.#timeline.getRange({
      start: { high: 0, low: from } as never,
      end: { high: 0, low: end } as never
    })
    for (const { key, value } of range) {
      if (!visit(value, (key as unknown as Key).low)) return false
    }
    return true
  }

  writePage(fromSeq: Seq, index: number, page: SnapshotPage): Promise<boolean> {
    const bytes = encodePage(fromSeq, index, page)
    return confirmed(this.#snapshots, { high: fromSeq, low: index }, (key) => this.#snapshots.put(key, bytes))
  }

  seal(fromSeq: Seq, pages: number): Promise<boolean> {
    const bytes = encodeSeal(fromSeq, pages)
    return confirmed(this.#snapshots, { high: fromSeq, low: sealIndex }, (key) => this.#snapshots.put(key, bytes))
  }

  /** The from seqs of the complete snapshots in this segment, newest first. */
  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    const found: Array<{ fromSeq: Seq; pages: number }> = []
    for (const key of this.#snapshots.getKeys({ reverse: true })) {
      const { high, low } = key as unknown as Key
      if (low !== sealIndex) continue
      const pages = decodeSeal(high, this.#snapshots.getBinary(key)!)
      if (pages !== undefined) found.push({ fromSeq: high, pages })
    }
    return found
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    const value = copied(this.#snapshots.getBinaryFast({ high: fromSeq, low: index } as never))
    return value && decodePage(fromSeq, index, value)
  }

  /** Puts a run into a settled segment. Runs are put in ascending order of (log id, last offset), as all that settling puts. */
  putRun(logId: number, lastOffset: number, bytes: Uint8Array): Promise<boolean> {
    return this.#batches.put({ high: logId, low: lastOffset } as never, asBuffer(bytes), { append: true } as never)
  }

  putExtents(page: number, bytes: Buffer): Promise<boolean> {
    return this.#extents!.put({ high: 0, low: page } as never, bytes, { append: true } as never)
  }

  putFrame(firstSeq: Seq, frame: Buffer): Promise<boolean> {
    return this.#timeline.put({ high: 0, low: firstSeq } as never, frame, { append: true } as never)
  }

  /** The last write of a settled segment. */
  async complete(range: SettledRange): Promise<void> {
    const meta: Meta = { format: segmentFormat, firstSeq: this.firstSeq, isSettled: true, ...range }
    await this.#root.put("meta", Buffer.from(JSON.stringify(meta)))
  }

  /** Visits a settled segment's runs, in the order of logs and offsets. Throws `JournalError` "Corrupt". */
  visitRuns(visit: (extent: Extent) => void): void {
    for (const { value } of this.#extents?.getRange({}) ?? []) readExtents(value, this.path, visit)
  }

  /** The bytes of a settled segment's runs, as they are stored. Throws `JournalError` "Corrupt". */
  get runBytes(): number {
    if (this.#runBytes === undefined) {
      let bytes = 0
      this.visitRuns(({ byteLength }) => (bytes += byteLength))
      this.#runBytes = bytes
    }
    return this.#runBytes
  }

  /** The bytes that frames and snapshots take of a settled segment's file. */
  get historyBytes(): number {
    return (this.#historyBytes ??= pageBytes(this.#timeline) + pageBytes(this.#snapshots))
  }

  close(): Promise<void> {
    forgetStores(this.#root, this.#timeline, this.#chunks, this.#batches, this.#snapshots, this.#extents)
    return this.#root.close()
  }
}

interface Stats {
  readonly pageSize: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

const pageBytes = (table: Table): number => {
  const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } = table.getStats() as Stats
  return pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages)
}

/** An environment begins in a file of whatever there was: its pages are counted from the last one that the head tells of. */
const overwriteHead = (file: string, head: Buffer): void => {
  const descriptor = fs.openSync(file, "r+")
  try {
    for (let done = 0; done < head.length;) done += fs.writeSync(descriptor, head, done, head.length - done, done)
    fs.fdatasyncSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Windows renames no file that is open. */
const underConstruction = (path: string): string => (process.platform === "win32" ? path : `${path}.tmp`)

const readMeta = (bytes: Buffer): Meta | undefined => {
  try {
    return JSON.parse(bytes.toString()) as Meta
  } catch {
    return undefined
  }
}

/** Throws `JournalError` "Corrupt" for a file that LMDB does not take for its own. */
const openRoot = (path: string, mapBytes: number): RootDatabase<Buffer, string> => {
  try {
    return open<Buffer, string>({
      path,
      encoding: "binary",
      mapSize: mapBytes,
      maxDbs: 8,
      noSubdir: true,
      // A meta page that a power cut tore is not trusted: LMDB falls back to the one before it.
      safeRestore: true,
      // With it a commit whose meta page could not be written, or whose sync failed while another was under way, is told
      // as durable (lmdb 3.5.6, `mdb_txn_commit`): what was acknowledged would be lost on a disk with an I/O error.
      overlappingSync: false
    } as never)
  } catch (error) {
    throw new JournalError("Corrupt", `LMDB cannot open ${path}: ${(error as Error).message}`)
  }
}

/**
 * Looks whether a put that lmdb tells as done is there: of several transactions under way, lmdb 3.5.6 sometimes tells
 * one that failed as done. Without `overlappingSync` LMDB shows nothing that is not on disk.
 */
const confirmed = async (table: Table, key: Key, put: (key: never) => Promise<boolean>): Promise<boolean> => {
  try {
    return (await put(key as never)) && table.doesExist(key as never)
  } catch (error) {
    // Settled later, or never; nobody else would handle it.
    guard((error as { readonly commitError?: Promise<boolean> }).commitError ?? Promise.resolve(false))
    throw error
  }
}

/** The frame's put tells for the whole transaction; the others' rejections must only not go unhandled. */
const guard = (put: Promise<boolean>): void => {
  put.then(undefined, () => undefined)
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** lmdb copies into one buffer that the next read overwrites; its `length` tells of the value, its `byteLength` does not. */
const viewed = (shared: Buffer | undefined): Buffer | undefined =>
  shared && Buffer.from(shared.buffer, shared.byteOffset, shared.length)

const copied = (shared: Buffer | undefined): Buffer | undefined => {
  if (shared === undefined) return undefined
  const own = Buffer.allocUnsafeSlow(shared.length)
  shared.copy(own)
  return own
}
