import { addKeys } from "../compact/addKeys.ts"
import { CleanedTransactions } from "../compact/CleanedTransactions.ts"
import { filterBatch, withDeleteHorizon } from "../compact/filterBatch.ts"
import { type Keep, keepBy } from "../compact/keepRecord.ts"
import { KeyMap } from "../compact/KeyMap.ts"
import { MergedRecords } from "../compact/MergedRecords.ts"
import type { SegmentSource } from "../journal/SegmentSource.ts"
import { endOf, type Extent } from "../journal/Extent.ts"
import { JournalError } from "../journal/JournalError.ts"
import { InvalidRecord } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { Located } from "../storage/LogIndex.ts"
import { batchesOfRun } from "../storage/runs.ts"
import { checked } from "./gather.ts"
import type { Pace } from "./Pace.ts"
import { packedBatch, type RunBuilder } from "./RunBuilder.ts"
import type { CleanedLog, CompactedLog, CompactionJob } from "./SettleJob.ts"

interface DirtyRun {
  readonly segment: SegmentSource
  readonly extent: Extent
}

/** Reads the keys of logs that are compacted, and takes from their runs what has newer records. */
export class Compactor {
  readonly #job: CompactionJob
  readonly #pace: Pace
  readonly #logs: ReadonlyMap<number, CompactedLog>
  readonly #segments: Array<SegmentSource> = []
  readonly #dirty = new Map<number, Array<DirtyRun>>()
  /** How far each log was cleaned that has records here, and its transactions behind them. */
  readonly #cleaned = new Map<number, readonly [cleanTo: number, transactions: CleanedTransactions]>()

  private constructor(job: CompactionJob, pace: Pace) {
    this.#job = job
    this.#pace = pace
    this.#logs = new Map(job.logs.map((log) => [log.logId, log]))
  }

  /** `open` is given the paths of the chain. Throws what it throws, and `JournalError`. */
  static open(job: CompactionJob, pace: Pace, open: (path: string) => SegmentSource): Compactor {
    const compactor = new Compactor(job, pace)
    try {
      for (const path of job.chain) compactor.#add(open(path))
      return compactor
    } catch (error) {
      compactor.close()
      throw error
    }
  }

  #add(segment: SegmentSource): void {
    this.#segments.push(segment)
    segment.visitRuns((extent) => {
      const log = this.#logs.get(extent.logId)
      if (log === undefined || extent.baseOffset >= log.cleanTo || endOf(extent) <= log.dirtyFrom) return
      const runs = this.#dirty.get(extent.logId)
      if (runs === undefined) this.#dirty.set(extent.logId, [{ segment, extent }])
      else runs.push({ segment, extent })
    })
  }

  close(): void {
    for (const segment of this.#segments) void segment.close()
  }

  has(logId: number): boolean {
    return this.#logs.has(logId)
  }

  /** How far each log was cleaned, of those that were: less than was asked for where the table of keys got full. */
  get cleaned(): ReadonlyArray<CleanedLog> {
    return Array.from(this.#cleaned, ([logId, [cleanTo, { unended }]]) => ({ logId, cleanTo, unended }))
  }

  /** Makes the compactor of this log's runs from `fromOffset` on, in their order. Throws `JournalError` "Corrupt". */
  async log(logId: number, fromOffset: number, builder: RunBuilder): Promise<LogCompactor> {
    const log = this.#logs.get(logId)!
    const { nowMs, mapBytesMax } = this.#job
    const dirty = this.#dirty.get(logId)?.filter(({ extent }) => endOf(extent) > fromOffset) ?? []
    const offsets = dirty.reduce((sum, { extent }) => sum + extent.count, 0)
    // With room for one run each compaction gets further than the one before.
    const first = dirty.find(({ extent }) => !extent.isCompacted)
    const newest = KeyMap.for(offsets, mapBytesMax, first?.extent.count)
    const transactions = new CleanedTransactions(log.aborted, log.unended)
    let { cleanTo } = log
    for (const { segment, extent } of dirty) {
      if (!readKeys(segment, extent, newest, transactions)) {
        cleanTo = extent.baseOffset
        break
      }
      await this.#pace.step()
    }
    this.#cleaned.set(logId, [cleanTo, transactions])
    return new LogCompactor({ ...log, cleanTo, nowMs }, keepBy(newest, { ...log, nowMs }), transactions, builder)
  }
}

const readKeys = (
  segment: SegmentSource,
  extent: Extent,
  newest: KeyMap,
  transactions: CleanedTransactions
): boolean => {
  const run: Located = { ...extent, frameSeq: segment.firstSeq }
  const bytes = checked(extent.logId, run, segment.batch(extent.logId, endOf(extent) - 1))
  return corruptAt(extent.logId, run, () => {
    for (const batch of batchesOfRun(bytes, run, 0)) {
      if (!transactions.isAborted(batch) && !addKeys(newest, batch)) return false
    }
    return true
  })
}

/** Bytes that are no batch although their checksum is right are damage: the error names their place. */
const corruptAt = <A>(logId: number, { baseOffset, frameSeq }: Located, read: () => A): A => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof RecordBatch.InvalidBatch || error instanceof InvalidRecord)) throw error
    const place = `records of log ${logId} at offset ${baseOffset} (seq ${frameSeq})`
    throw new JournalError("Corrupt", `${place}: ${error.message}`)
  }
}

/** A log, how far it is cleaned, and when: Unix ms. */
type Cleaning = CompactedLog & { readonly nowMs: number }

/** The runs of one log on their way through a compaction. */
export class LogCompactor {
  readonly #log: Cleaning
  readonly #keep: Keep
  readonly #transactions: CleanedTransactions
  readonly #builder: RunBuilder
  readonly #deleteHorizonMs: number
  readonly #merged: MergedRecords

  constructor(log: Cleaning, keep: Keep, transactions: CleanedTransactions, builder: RunBuilder) {
    this.#log = log
    this.#keep = keep
    this.#transactions = transactions
    this.#builder = builder
    // A stream may keep its tombstones for 2^63 - 1 ms; a batch's times are relative to the horizon, which must be exact.
    this.#deleteHorizonMs = Math.min(log.nowMs + log.deleteRetentionMs, Number.MAX_SAFE_INTEGER)
    this.#merged = new MergedRecords(keep, this.#deleteHorizonMs, ({ fields, records }) => {
      const plainBytes = RecordBatch.batchHeaderBytes + records.length
      builder.addCompacted(log.logId, false, packedBatch(fields, records), plainBytes)
    })
  }

  /** A run behind those before. Throws `JournalError` "Corrupt". */
  add(run: Located, bytes: Uint8Array): void {
    const { logId, cleanTo } = this.#log
    const isClean = endOf(run) <= cleanTo
    if (run.verbatim || !isClean) this.#merged.end()
    if (isClean) corruptAt(logId, run, () => this.#filter(run, bytes))
    else this.#builder.add(logId, run, bytes)
  }

  /** Hands out what is open. */
  end(): void {
    this.#merged.end()
  }

  #filter(run: Located, bytes: Uint8Array): void {
    for (const batch of batchesOfRun(bytes, run, 0)) {
      if (!run.verbatim) {
        this.#merged.add(batch)
        continue
      }
      const left = RecordBatch.isControl(batch) ? this.#marker(batch) : this.#records(batch)
      if (left !== undefined) this.#builder.addCompacted(this.#log.logId, true, left, left.length)
    }
  }

  #records(batch: Uint8Array): Uint8Array | undefined {
    if (this.#transactions.isAborted(batch)) return undefined
    const left = filterBatch(batch, this.#keep, this.#deleteHorizonMs)
    if (left !== undefined) this.#transactions.kept(batch)
    return left
  }

  #marker(control: Uint8Array): Uint8Array | undefined {
    const needed = this.#transactions.ended(control)
    if (needed === "records") return control
    const { logEndOffset, nowMs } = this.#log
    const horizonMs = RecordBatch.deleteHorizon(control)
    const isLast = RecordBatch.baseOffset(control) === logEndOffset - 1
    if (needed === undefined && !isLast && horizonMs !== undefined && nowMs >= horizonMs) return undefined
    return withDeleteHorizon(control, this.#deleteHorizonMs)
  }
}
