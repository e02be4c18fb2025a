import { open, type Database, type RootDatabase } from "lmdb"
import { JournalError, type Commit, type Seq, type SnapshotPage } from "./Journal.ts"

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

/** Raised with each change of what a segment's tables hold. */
export const segmentFormat = 1

/**
 * Of a settled segment, which has stripped frames, snapshots, runs under `batches`, and `extents`: pages that tell of
 * every run. The format stands in it last: a file that has it is complete.
 */
export const settledFormat = 2

export interface SegmentOptions {
  readonly mapBytes: number
  readonly readOnly: boolean
}

/** Snapshot keys: (page index, from seq); the seal has the highest index. */
const sealIndex = 0xffff_ffff
const pageHeadBytes = 8

interface Meta {
  readonly format: number
  readonly firstSeq: Seq
}

type Table = Database<Buffer, never>

/** One LMDB environment: a piece of the journal. */
export class LmdbSegment {
  readonly path: string
  readonly firstSeq: Seq
  readonly #root: RootDatabase<Buffer, string>
  readonly #timeline: Table
  readonly #chunks: Table
  readonly #batches: Table
  readonly #snapshots: Table
  /** Of a settled segment only. */
  readonly #extents: Table | undefined

  private constructor(path: string, root: RootDatabase<Buffer, string>, meta: Meta, readOnly: boolean) {
    this.path = path
    this.#root = root
    this.firstSeq = meta.firstSeq
    const table = (name: string, wideFirst: boolean): Table =>
      root.openDB(name, { encoding: "binary", keyEncoder: keyEncoder(wideFirst), readOnly } as never) as never
    this.#timeline = table("timeline", false)
    this.#chunks = table("chunks", true)
    this.#batches = table("batches", false)
    this.#snapshots = table("snapshots", true)
    this.#extents = meta.format === settledFormat ? table("extents", false) : undefined
  }

  static create(path: string, mapBytes: number, firstSeq: Seq): LmdbSegment {
    const root = openRoot(path, { mapBytes, readOnly: false })
    const meta: Meta = { format: segmentFormat, firstSeq }
    const segment = new LmdbSegment(path, root, meta, false)
    // Last, so that a file with its format version has all of its tables.
    root.putSync("meta", Buffer.from(JSON.stringify(meta)))
    return segment
  }

  /** For a settled segment: to be filled, then `complete`. */
  static createSettled(path: string, mapBytes: number, firstSeq: Seq): LmdbSegment {
    const root = openRoot(path, { mapBytes, readOnly: false })
    return new LmdbSegment(path, root, { format: settledFormat, firstSeq }, false)
  }

  get isSettled(): boolean {
    return this.#extents !== undefined
  }

  /** Undefined for a file whose creation a crash cut short. Throws `JournalError` "UnknownFormat". */
  static open(path: string, options: SegmentOptions): LmdbSegment | undefined {
    const root = openRoot(path, options)
    const bytes = root.getBinary("meta")
    if (bytes === undefined) {
      void root.close()
      return undefined
    }
    const meta = readMeta(bytes)
    if (meta?.format !== segmentFormat && meta?.format !== settledFormat) {
      void root.close()
      throw new JournalError(
        "UnknownFormat",
        `${path} has format ${meta?.format}; this version reads formats ${segmentFormat} and ${settledFormat}`
      )
    }
    return new LmdbSegment(path, root, meta, options.readOnly)
  }

  /** True once the commit and all before it are on disk; false for one that LMDB refused. */
  write(commit: Commit): Promise<boolean> {
    commit.chunks.forEach((bytes, index) => {
      guard(this.#chunks.put({ high: commit.firstSeq, low: index } as never, bytes, { append: true } as never))
    })
    for (const { logId, lastOffset, bytes } of commit.batches) {
      guard(this.#batches.put({ high: logId, low: lastOffset } as never, asBuffer(bytes)))
    }
    return this.#timeline.put({ high: 0, low: commit.firstSeq } as never, commit.frame, { append: true } as never)
  }

  frame(seq: Seq): Buffer | undefined {
    return copied(this.#timeline.getBinaryFast({ high: 0, low: seq } as never))
  }

  chunk(seq: Seq, index: number): Buffer | undefined {
    return copied(this.#chunks.getBinaryFast({ high: seq, low: index } as never))
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return copied(this.#batches.getBinaryFast({ high: logId, low: lastOffset } as never))
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
    const value = Buffer.allocUnsafeSlow(pageHeadBytes + page.bytes.length)
    value.writeBigInt64LE(BigInt(page.seq), 0)
    page.bytes.copy(value, pageHeadBytes)
    return this.#snapshots.put({ high: fromSeq, low: index } as never, value)
  }

  seal(fromSeq: Seq, pages: number): Promise<boolean> {
    const value = Buffer.alloc(4)
    value.writeUInt32LE(pages, 0)
    return this.#snapshots.put({ high: fromSeq, low: sealIndex } as never, value)
  }

  /** The from seqs of the complete snapshots in this segment, newest first. */
  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    const found: Array<{ fromSeq: Seq; pages: number }> = []
    for (const key of this.#snapshots.getKeys({ reverse: true })) {
      const { high, low } = key as unknown as Key
      if (low === sealIndex) found.push({ fromSeq: high, pages: this.#snapshots.getBinary(key)!.readUInt32LE(0) })
    }
    return found
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    const value = copied(this.#snapshots.getBinaryFast({ high: fromSeq, low: index } as never))
    if (value === undefined) return undefined
    return { seq: Number(value.readBigInt64LE(0)), bytes: value.subarray(pageHeadBytes) }
  }

  /** Of a settled segment: in ascending order of (log id, last offset), as all that settling puts. */
  putRun(logId: number, lastOffset: number, bytes: Uint8Array): Promise<boolean> {
    return this.#batches.put({ high: logId, low: lastOffset } as never, asBuffer(bytes), { append: true } as never)
  }

  putExtents(page: number, bytes: Buffer): Promise<boolean> {
    return this.#extents!.put({ high: 0, low: page } as never, bytes, { append: true } as never)
  }

  putFrame(firstSeq: Seq, frame: Buffer): Promise<boolean> {
    return this.#timeline.put({ high: 0, low: firstSeq } as never, frame, { append: true } as never)
  }

  /** Copies the page or seal behind `after`, the first one for undefined; tells its key, undefined at the end. */
  async copySnapshotEntry(source: LmdbSegment, after: Key | undefined): Promise<Key | undefined> {
    const start =
      after?.low === sealIndex ? { high: after.high + 1, low: 0 } : after && { ...after, low: after.low + 1 }
    const range = start === undefined ? { limit: 1 } : { start, limit: 1 }
    for (const { key, value } of source.#snapshots.getRange(range as never)) {
      const own = Buffer.from(value)
      await this.#snapshots.put(key, own)
      return key as unknown as Key
    }
    return undefined
  }

  /** The last write of a settled segment. */
  async complete(): Promise<void> {
    const meta: Meta = { format: settledFormat, firstSeq: this.firstSeq }
    await this.#root.put("meta", Buffer.from(JSON.stringify(meta)))
  }

  /** Visits the pages of extents in order. The view is valid during the visit only. */
  visitExtents(visit: (page: Buffer) => void): void {
    for (const { value } of this.#extents!.getRange({})) visit(value)
  }

  /** Whether another process may be reading this file, as a tool beside a server does. */
  hasOtherReaders(): boolean {
    this.#root.readerCheck()
    const pids = [...this.#root.readerList().matchAll(/^ *(\d+) /gm)].map((found) => Number(found[1]))
    return pids.some((pid) => pid !== process.pid)
  }

  close(): Promise<void> {
    return this.#root.close()
  }
}

const readMeta = (bytes: Buffer): Meta | undefined => {
  try {
    return JSON.parse(bytes.toString()) as Meta
  } catch {
    return undefined
  }
}

/** Throws `JournalError` "Corrupt" for a file that LMDB does not take for its own. */
const openRoot = (path: string, options: SegmentOptions): RootDatabase<Buffer, string> => {
  try {
    return open<Buffer, string>({
      path,
      encoding: "binary",
      mapSize: options.mapBytes,
      maxDbs: 8,
      noSubdir: true,
      readOnly: options.readOnly,
      // A meta page that a power cut tore is not trusted: LMDB falls back to the one before it.
      safeRestore: true
    } as never)
  } catch (error) {
    throw new JournalError("Corrupt", `LMDB cannot open ${path}: ${(error as Error).message}`)
  }
}

/** The frame's put tells for the whole transaction; the others' rejections must only not go unhandled. */
const guard = (put: Promise<boolean>): void => {
  put.then(undefined, () => undefined)
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** lmdb hands out one buffer that the next read overwrites. */
const copied = (shared: Buffer | undefined): Buffer | undefined => {
  if (shared === undefined) return undefined
  const own = Buffer.allocUnsafeSlow(shared.length)
  shared.copy(own)
  return own
}
