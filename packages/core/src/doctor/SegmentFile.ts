import { readFrameHead } from "../journal/Frame.ts"
import { JournalError, type Seq, type SnapshotPage } from "../journal/Journal.ts"
import { readExtents, type Extent } from "../journal/Extent.ts"
import {
  decodePage,
  decodeSeal,
  sealIndex,
  segmentFormat,
  settledTableNames,
  tableNames
} from "../journal/LmdbSegment.ts"
import { LmdbFile, PageDamage, type Tree } from "./LmdbFile.ts"
import type { SegmentSource } from "./SegmentSource.ts"

const keyBytes = 12

const key = (wide: number, narrow: number, wideFirst: boolean): Buffer => {
  const bytes = Buffer.allocUnsafe(keyBytes)
  bytes.writeBigUInt64BE(BigInt(wide), wideFirst ? 0 : 4)
  bytes.writeUInt32BE(narrow, wideFirst ? 8 : 0)
  return bytes
}

/** A segment that nobody writes to, read without LMDB: damage is thrown as `PageDamage` and ends no process. */
export class SegmentFile implements SegmentSource {
  readonly path: string
  readonly firstSeq: Seq
  readonly isSettled: boolean
  readonly #file: LmdbFile
  readonly #tables: ReadonlyMap<string, Tree>

  private constructor(file: LmdbFile, { firstSeq, isSettled }: Meta) {
    this.path = file.path
    this.#file = file
    this.firstSeq = firstSeq
    this.isSettled = isSettled
    const tables = new Map<string, Tree>()
    for (const name of this.#tableNames) {
      const tree = file.table(name)
      if (tree === undefined) throw new PageDamage(0, `there is no table ${name}`)
      tables.set(name, tree)
    }
    this.#tables = tables
  }

  /** Throws `PageDamage`, and `JournalError` "UnknownFormat". */
  static open(path: string): SegmentFile {
    const file = LmdbFile.open(path)
    try {
      return new SegmentFile(file, metaOf(file))
    } catch (error) {
      file.close()
      throw error
    }
  }

  get #tableNames(): ReadonlyArray<string> {
    return this.isSettled ? settledTableNames : tableNames
  }

  #table(name: (typeof settledTableNames)[number]): Tree {
    return this.#tables.get(name)!
  }

  scan(from: Seq, end: Seq, visit: (frame: Buffer, key: Seq) => boolean): boolean {
    let went = true
    this.#file.walk(this.#table("timeline"), key(from, 0, false), (bytes, value) => {
      const seq = wholeKey(bytes, 4)
      if (seq >= end) return false
      went = visit(value(), seq)
      return went
    })
    return went
  }

  frame(seq: Seq): Buffer | undefined {
    return this.#file.get(this.#table("timeline"), key(seq, 0, false))
  }

  lastFrame(): Buffer | undefined {
    return this.#file.last(this.#table("timeline"))
  }

  /** One after the last event. */
  get nextSeq(): Seq {
    const frame = this.lastFrame()
    return frame === undefined ? this.firstSeq : readFrameHead(frame).nextSeq
  }

  chunk(seq: Seq, index: number): Buffer | undefined {
    return this.#file.get(this.#table("chunks"), key(seq, index, true))
  }

  batch(logId: number, lastOffset: number): Buffer | undefined {
    return this.#file.get(this.#table("batches"), key(lastOffset, logId, false))
  }

  visitRuns(visit: (extent: Extent) => void): void {
    if (!this.isSettled) return
    this.#file.walk(this.#table("extents"), Buffer.alloc(0), (_bytes, value) => {
      readExtents(value(), this.path, visit)
      return true
    })
  }

  sealed(): ReadonlyArray<{ readonly fromSeq: Seq; readonly pages: number }> {
    const found: Array<{ fromSeq: Seq; pages: number }> = []
    this.#file.walk(this.#table("snapshots"), Buffer.alloc(0), (bytes, value) => {
      if (bytes.length !== keyBytes || bytes.readUInt32BE(8) !== sealIndex) return true
      const fromSeq = wholeKey(bytes, 0)
      const pages = decodeSeal(fromSeq, value())
      if (pages !== undefined) found.unshift({ fromSeq, pages })
      return true
    })
    return found
  }

  page(fromSeq: Seq, index: number): SnapshotPage | undefined {
    const value = this.#file.get(this.#table("snapshots"), key(fromSeq, index, true))
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
}

const metaOf = (file: LmdbFile): Meta => {
  const bytes = file.value("meta")
  if (bytes === undefined) throw new PageDamage(0, "there is no format version")
  let meta: { readonly format?: unknown; readonly firstSeq?: unknown; readonly isSettled?: unknown }
  try {
    meta = JSON.parse(bytes.toString()) as typeof meta
  } catch {
    throw new PageDamage(0, "the format version cannot be read")
  }
  if (meta.format !== segmentFormat) {
    throw new JournalError(
      "UnknownFormat",
      `${file.path} has format ${String(meta.format)}; this version reads format ${segmentFormat}`
    )
  }
  if (!Number.isSafeInteger(meta.firstSeq)) throw new PageDamage(0, "the first seq cannot be read")
  return { firstSeq: meta.firstSeq as number, isSettled: meta.isSettled === true }
}
