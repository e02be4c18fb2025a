import type { Seq } from "@logbrook/core/journal/Journal"
import type { KeyedRecord } from "./keyedRecords.ts"
import type { ModelLog } from "./Model.ts"

export interface CompactionConfig {
  readonly isCompacted: boolean
  readonly minCompactionLagMs: number
  readonly deleteRetentionMs: number
}

/** A record as it is read now. */
export interface ReadRecord extends KeyedRecord {
  /** Of its batch, Unix ms. */
  readonly deleteHorizonMs: number | undefined
  /** Its run says that it was compacted. */
  readonly isCompacted: boolean
}

/** What bounds a compaction at this moment. */
export interface Bounds {
  /** The latest time that the machine's clock has ever told, Unix ms. */
  readonly wallMsMax: number
  /** One after the last record that may be read. */
  readonly endOffset: number
  /** Where the first segment begins that is not settled. */
  readonly unsettledSeq: Seq
  /** When compactions began, Unix ms. */
  readonly compactedMs: ReadonlySet<number>
}

/**
 * A log that is compacted, or will be, beside its `ModelLog`: what was stored under which key, and what was seen to be gone
 * since. Records without a key, from before it was compacted, go with the others and are in no other way bound.
 *
 * 1. What is read is what was stored: offset, key, value, time, producer and sequence.
 * 2. The newest value of a key is there, a tombstone until its delete horizon, the log's last record in any case.
 * 3. A record is gone only if a newer one of its key drives it out, both older than the lag and both settled.
 * 4. Whatever is gone stays gone; when a record is gone, so are all older ones of its key; so they are once a
 *    tombstone has its horizon, which never changes.
 * 5. Among what its runs call compacted no key is twice, but for what was a log's last record.
 */
export class KeyedLog {
  readonly #log: ModelLog
  config: CompactionConfig
  readonly #violated: (message: string) => void
  readonly #records: Array<KeyedRecord> = []
  readonly #gone = new Set<number>()
  readonly #horizons = new Map<number, number>()
  /** Not given to a reader, who says so: they must be gone when the log is looked at next. */
  readonly #passedOver = new Map<number, string>()
  /** The last records at the beginning of each compaction, which it leaves where they are. */
  readonly lasts = new Set<number>()

  constructor(log: ModelLog, config: CompactionConfig, violated: (message: string) => void) {
    this.#log = log
    this.config = config
    this.#violated = violated
  }

  get gone(): number {
    return this.#gone.size
  }

  /** How many of those that are gone were tombstones. */
  get tombstonesGone(): number {
    let count = 0
    for (const offset of this.#gone) if (this.#records[offset]!.isTombstone) count++
    return count
  }

  /** It became durable. */
  add(record: KeyedRecord): void {
    this.#records.push(record)
  }

  /** What somebody reads is what was stored. */
  checkRead(who: string, read: KeyedRecord): void {
    const { id } = this.#log
    const stored = this.#records[read.offset]
    const isSame =
      stored !== undefined &&
      stored.key === read.key &&
      stored.id === read.id &&
      stored.isTombstone === read.isTombstone &&
      stored.timestampMs === read.timestampMs &&
      stored.producer === read.producer
    if (!isSame) this.#violated(`${who} reads ${short(read)} in log ${id}, where ${short(stored)} was stored`)
  }

  /** A reader gets on beyond this offset without a record. */
  passedOver(who: string, offset: number): void {
    if (offset >= this.#log.startOffset && !this.#gone.has(offset)) this.#passedOver.set(offset, who)
  }

  /** `read`: all that can be read below `bounds.endOffset`, ascending. */
  check(read: ReadonlyArray<ReadRecord>, bounds: Bounds): void {
    const { startOffset } = this.#log
    const there = new Map<number, ReadRecord>()
    let before = -1
    for (const record of read) {
      if (record.offset <= before) this.#violated(`log ${this.#log.id}: ${record.offset} comes behind ${before}`)
      before = record.offset
      this.checkRead("the simulation", record)
      there.set(record.offset, record)
    }
    this.#checkKeys(there, bounds)
    this.#checkCompacted(read)
    for (const [offset, who] of this.#passedOver) {
      if (offset >= startOffset && there.has(offset)) {
        this.#violated(`${who} is not given log ${this.#log.id}:${offset}, which is there`)
      }
    }
    this.#passedOver.clear()
  }

  /** A reader that begins in the middle gets what one from the beginning gets from there on. */
  checkSuffix(suffix: ReadonlyArray<ReadRecord>, all: ReadonlyArray<ReadRecord>, fromOffset: number): void {
    const expected = all.filter(({ offset }) => offset >= fromOffset).map(({ offset }) => offset)
    const found = suffix.map(({ offset }) => offset)
    if (found.join() === expected.join()) return
    const at = found.findIndex((offset, i) => offset !== expected[i])
    const [is, was] = at < 0 ? ["nothing", expected[found.length]] : [found[at], expected[at]]
    this.#violated(`log ${this.#log.id} from ${fromOffset} on is read with ${is}, where ${was} is`)
  }

  /** From the newest record down to the oldest. */
  #checkKeys(there: ReadonlyMap<number, ReadRecord>, bounds: Bounds): void {
    const { id, startOffset } = this.#log
    const drivers = new Set<string | null>()
    /** By key: why nothing older may be there. */
    const hidden = new Map<string | null, string>()
    for (let offset = bounds.endOffset - 1; offset >= startOffset; offset--) {
      const stored = this.#records[offset]!
      const read = there.get(offset)
      if (read === undefined) {
        if (!this.#gone.has(offset)) this.#throwUnlessMayGo(stored, drivers.has(stored.key), bounds)
        this.#gone.add(offset)
        hidden.set(stored.key, `${offset} is gone`)
      } else {
        if (this.#gone.has(offset)) this.#violated(`log ${id}:${offset} was gone and is there again`)
        const why = hidden.get(stored.key)
        if (why !== undefined && stored.key !== null)
          this.#violated(`log ${id}:${offset} of ${stored.key} is there, though ${why}`)
        if (this.#horizonOf(read, bounds) !== undefined) hidden.set(stored.key, `${offset} has its delete horizon`)
      }
      if (this.#isCleanable(stored, bounds)) drivers.add(stored.key)
    }
  }

  /** Of a tombstone; the first time that it is seen it must come from a compaction and last for delete.retention.ms. */
  #horizonOf({ offset, isTombstone, deleteHorizonMs }: ReadRecord, { compactedMs }: Bounds): number | undefined {
    if (!isTombstone) return undefined
    const known = this.#horizons.get(offset)
    if (known !== undefined && known !== deleteHorizonMs) {
      this.#violated(`log ${this.#log.id}:${offset}: its delete horizon was ${known} and is ${deleteHorizonMs}`)
    }
    if (known !== undefined || deleteHorizonMs === undefined) return known
    if (!compactedMs.has(deleteHorizonMs - this.config.deleteRetentionMs)) {
      this.#violated(`log ${this.#log.id}:${offset}: no compaction was at ${deleteHorizonMs} less delete.retention.ms`)
    }
    this.#horizons.set(offset, deleteHorizonMs)
    return deleteHorizonMs
  }

  #isCleanable({ offset, timestampMs }: KeyedRecord, { wallMsMax, unsettledSeq }: Bounds): boolean {
    const { minCompactionLagMs } = this.config
    const isOld = minCompactionLagMs === 0 || timestampMs <= wallMsMax - minCompactionLagMs
    return isOld && this.#log.seqs[offset]! < unsettledSeq
  }

  #throwUnlessMayGo(stored: KeyedRecord, isDrivenOut: boolean, bounds: Bounds): void {
    const { offset, key, isTombstone } = stored
    const what = `log ${this.#log.id}:${offset} of ${key}, a ${isTombstone ? "tombstone" : "value"},`
    if (offset === bounds.endOffset - 1) this.#violated(`${what} is gone, and it was the last record`)
    if (!this.#isCleanable(stored, bounds)) this.#violated(`${what} is gone, and it was too young or not settled`)
    if (!this.config.isCompacted) this.#violated(`${what} is gone, and its stream is not compacted`)
    if (isDrivenOut || key === null) return
    if (!isTombstone) this.#violated(`${what} is gone, and it was the newest`)
    const horizonMs = this.#horizons.get(offset)
    if (horizonMs === undefined || horizonMs > bounds.wallMsMax) {
      this.#violated(`${what} is gone at ${bounds.wallMsMax}, and its delete horizon was ${horizonMs}`)
    }
  }

  #checkCompacted(read: ReadonlyArray<ReadRecord>): void {
    const keys = new Map<string | null, number>()
    let firstDirty = -1
    for (const { offset, key, isCompacted } of read) {
      if (!isCompacted) {
        if (firstDirty < 0) firstDirty = offset
        continue
      }
      const { id } = this.#log
      if (firstDirty >= 0) this.#violated(`log ${id}:${offset} is compacted, and ${firstDirty} before it is not`)
      const older = keys.get(key)
      if (key !== null && older !== undefined && !this.lasts.has(older)) {
        this.#violated(`log ${id}: ${key} is compacted and is there twice, at ${older} and ${offset}`)
      }
      keys.set(key, offset)
    }
  }
}

const short = (record: KeyedRecord | undefined): string =>
  record === undefined
    ? "nothing"
    : `${record.offset} ${record.key} ${record.isTombstone ? "tombstone " : ""}${record.id} ${record.timestampMs} ${record.producer}`
