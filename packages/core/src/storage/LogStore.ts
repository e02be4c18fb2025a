import { kindOf, type ActorId } from "../actor/Definition.ts"
import { partitionKind, logIdOf, type LogEvent, type LogState } from "../actor/LogEvents.ts"
import { BufferPool } from "../BufferPool.ts"
import type { BatchRef } from "../journal/batchRef.ts"
import type { Extent } from "../journal/Extent.ts"
import { frameTimeMs } from "../journal/Frame.ts"
import type { Commit, Journal, Seq } from "../journal/Journal.ts"
import { Log } from "./Log.ts"
import { type BatchTimes, LogReader, type ReadOptions } from "./LogReader.ts"
import { Tail } from "./Tail.ts"

/** All partitions of a shard as readers see them: what is durable and not expired. */
export class LogStore {
  /** The buffers of batches on their way to the journal, which come back when they leave the tail, and of answers to readers. */
  readonly buffers: BufferPool
  /** The bytes of all records that became durable since the start. */
  appendedBytes = 0
  readonly #logs = new Map<number, Log>()
  readonly #journal: Journal
  readonly #tail: Tail
  readonly #reader: LogReader

  /** `buffers`: a pool to share with others. */
  constructor(journal: Journal, tailBytesMax: number, synthesisedBatchBytesMax: number, buffers?: BufferPool) {
    this.#journal = journal
    this.buffers = buffers ?? new BufferPool(tailBytesMax)
    this.#tail = new Tail(tailBytesMax, this.buffers)
    this.#reader = new LogReader(journal, this.#tail, synthesisedBatchBytesMax)
  }

  /** The log with this id; an empty one if it never had a record. */
  log(id: number): Log {
    let log = this.#logs.get(id)
    if (log === undefined) {
      log = new Log(id)
      this.#logs.set(id, log)
    }
    return log
  }

  /** The log with this id, if it has had a record. */
  find(id: number): Log | undefined {
    return this.#logs.get(id)
  }

  logs(): IterableIterator<Log> {
    return this.#logs.values()
  }

  /** A durable commit's references. */
  apply(commit: Commit, epoch: number, refs: ReadonlyArray<BatchRef>): void {
    this.#tail.add(commit)
    for (const ref of refs) {
      this.log(ref.logId).append(commit.firstSeq, epoch, ref)
      this.appendedBytes += ref.byteLength
    }
  }

  /** Wakes who waits for more in these logs; a deleted one's readers were woken by its deletion. */
  wake(refs: ReadonlyArray<BatchRef>): void {
    for (const { logId } of refs) this.#logs.get(logId)?.wake()
  }

  recover(frameSeq: Seq, epoch: number, ref: BatchRef): void {
    this.log(ref.logId).append(frameSeq, epoch, ref)
  }

  /** A run of the settled segment that begins at `segmentSeq`, in the order of segments and offsets. */
  recoverRun(segmentSeq: Seq, extent: Extent): void {
    this.log(extent.logId).appendRun(segmentSeq, extent)
  }

  /** The logs that have records in the commits from `fromSeq` to `endSeq`, by log id, with their start offsets. */
  startOffsets(fromSeq: Seq, endSeq: Seq): Array<readonly [logId: number, startOffset: number]> {
    const found: Array<readonly [number, number]> = []
    for (const { id, index, startOffset } of this.#logs.values()) {
      if (index.findSeq(fromSeq) < index.findSeq(endSeq)) found.push([id, startOffset])
    }
    return found.sort(([a], [b]) => a - b)
  }

  /** Readers of this log go over to the runs of a settled segment; tells how many references gave way. */
  settle(logId: number, fromSeq: Seq, endSeq: Seq, extents: ReadonlyArray<Extent>): number {
    return this.#logs.get(logId)?.settle(fromSeq, endSeq, extents) ?? 0
  }

  /** Takes over what a replay knows of a partition that its references do not tell. */
  restore(actor: ActorId, state: unknown): void {
    if (kindOf(actor) !== partitionKind) return
    const known = state as LogState
    const id = logIdOf(actor)
    if (known.isDeleted) this.#logs.delete(id)
    else this.log(id).restore(known)
  }

  forget(id: number): void {
    this.#logs.delete(id)
  }

  /** A durable event of a partition. */
  observe(actor: ActorId, event: { readonly _tag: string }): void {
    if (kindOf(actor) !== partitionKind) return
    const logEvent = event as LogEvent
    const id = logIdOf(actor)
    if (logEvent._tag === "LogStartMoved") this.log(id).moveStart(logEvent.offset)
    if (logEvent._tag === "AbortedForgotten") this.log(id).forgetAborted(logEvent.offset)
    if (logEvent._tag === "LogDeleted") {
      const log = this.#logs.get(id)
      this.#logs.delete(id)
      log?.wake()
    }
  }

  /** Whole record batches from `offset` on, see `LogReader.read`. */
  read(log: Log, offset: number, bytesMax: number, options?: ReadOptions): Array<Uint8Array> {
    return this.#reader.read(log, offset, bytesMax, options)
  }

  /** The first record at or after `timestampMs`, see `LogReader.offsetForTimestamp`. */
  offsetForTimestamp(log: Log, timestampMs: number): { offset: number; timestampMs: number } | undefined {
    return this.#reader.offsetForTimestamp(log, timestampMs)
  }

  /** See `LogReader.batchTimes`. */
  batchTimes(log: Log, offsets: Iterable<number>, bytesMax: number): BatchTimes {
    return this.#reader.batchTimes(log, offsets, bytesMax)
  }

  maxTimestamp(log: Log): { offset: number; timestampMs: number } | undefined {
    return this.#reader.maxTimestamp(log)
  }

  /**
   * The offset where the log begins once every batch whose newest record is older than `timestampMs` has expired. A
   * batch whose producer gave no times is as old as the commit or file in which it lies, as in Kafka (the file's last
   * modification).
   */
  expiredBefore(log: Log, timestampMs: number): number {
    return log.expiredBefore(timestampMs, (frameSeq) => this.#writtenMs(frameSeq))
  }

  /** When a commit was written, or no earlier than the last of its segment was, once that is closed; Unix milliseconds. */
  #writtenMs(frameSeq: Seq): number {
    const { firstSeq } = this.#journal
    const segments = this.#journal.segments()
    const at = segments.findLastIndex((segment) => segment.firstSeq <= frameSeq)
    const behindSeq = at < segments.length - 1 ? segments[at]!.nextSeq : frameSeq
    const frame = this.#journal.frame(Math.max(behindSeq, firstSeq))
    return (frame && frameTimeMs(frame)) ?? Infinity
  }

  /** The oldest commit that a reader can still reach. */
  oldestNeededSeq(): Seq {
    let oldest = Infinity
    for (const { index } of this.#logs.values()) {
      if (index.count > 0) oldest = Math.min(oldest, index.at(0).frameSeq)
    }
    return oldest
  }
}
