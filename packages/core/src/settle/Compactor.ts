import { addKeys } from "../compact/addKeys.ts"
import { filterBatch } from "../compact/filterBatch.ts"
import { keepBy } from "../compact/keepRecord.ts"
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
import type { CompactedLog, CompactionJob } from "./SettleJob.ts"

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
  readonly #cleanedTo = new Map<number, number>()

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
  get cleanedTo(): ReadonlyArray<readonly [logId: number, offset: number]> {
    return [...this.#cleanedTo]
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
    let { cleanTo } = log
    for (const { segment, extent } of dirty) {
      if (!readKeys(segment, extent, newest)) {
        cleanTo = extent.baseOffset
        break
      }
      await this.#pace.step()
    }
    this.#cleanedTo.set(logId, cleanTo)
    const keep = keepBy(newest, { ...log, nowMs })
    return new LogCompactor(logId, cleanTo, builder, keep, nowMs + log.deleteRetentionMs)
  }
}

const readKeys = (segment: SegmentSource, extent: Extent, newest: KeyMap): boolean => {
  const run: Located = { ...extent, frameSeq: segment.firstSeq }
  const bytes = checked(extent.logId, run, segment.batch(extent.logId, endOf(extent) - 1))
  return corruptAt(extent.logId, run, () => {
    for (const batch of batchesOfRun(bytes, run, 0)) if (!addKeys(newest, batch)) return false
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

/** The runs of one log on their way through a compaction. */
export class LogCompactor {
  readonly #logId: number
  readonly #cleanTo: number
  readonly #builder: RunBuilder
  readonly #keep: ReturnType<typeof keepBy>
  readonly #deleteHorizonMs: number
  readonly #merged: MergedRecords

  constructor(
    logId: number,
    cleanTo: number,
    builder: RunBuilder,
    keep: ReturnType<typeof keepBy>,
    deleteHorizonMs: number
  ) {
    this.#logId = logId
    this.#cleanTo = cleanTo
    this.#builder = builder
    this.#keep = keep
    this.#deleteHorizonMs = deleteHorizonMs
    this.#merged = new MergedRecords(keep, deleteHorizonMs, ({ fields, records }) => {
      const plainBytes = RecordBatch.batchHeaderBytes + records.length
      builder.addCompacted(logId, false, packedBatch(fields, records), plainBytes)
    })
  }

  /** A run behind those before. Throws `JournalError` "Corrupt". */
  add(run: Located, bytes: Uint8Array): void {
    const isClean = endOf(run) <= this.#cleanTo
    if (run.verbatim || !isClean) this.#merged.end()
    if (isClean) corruptAt(this.#logId, run, () => this.#filter(run, bytes))
    else this.#builder.add(this.#logId, run, bytes)
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
      const left = filterBatch(batch, this.#keep, this.#deleteHorizonMs)
      if (left !== undefined) this.#builder.addCompacted(this.#logId, true, left, left.length)
    }
  }
}
