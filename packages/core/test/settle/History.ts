import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { systemClock } from "@logbrook/core/Clock"
import { compress, type Codec } from "@logbrook/core/Compression"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import type { Limits } from "@logbrook/core/Limits"
import type { Journal, Seq } from "@logbrook/core/journal/Journal"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { Settler, type SettlerStep } from "@logbrook/core/settle/Settler"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { Replay, type JournaledEvent } from "@logbrook/core/shard/Replay"
import { encodeRecords, type RecordContent } from "../support/commits.ts"
import { ShardHarness } from "../support/ShardHarness.ts"
import { TestClock } from "../support/TestClock.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { inProcess } from "./inProcess.ts"
import { rewriteAll } from "./rewriteAll.ts"

export interface Kept extends RecordContent {
  readonly offset: number
  /** Of the producer's batch that it came in; 0 for one of the server's. */
  readonly crc: number
}

const shownBytes = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

/** A batch's records; `crc` of a server-built one is 0. */
export const recordsIn = (batch: Uint8Array, sent: ReadonlySet<number>): Array<Kept> => {
  const found: Array<Kept> = []
  const own = RecordBatch.crc(batch)
  iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (reader) => {
    found.push({
      offset: RecordBatch.baseOffset(batch) + reader.offsetDelta,
      key: shownBytes(reader.key()),
      value: shownBytes(reader.value()),
      timestampMs: RecordBatch.baseTimestamp(batch) + reader.timestampDelta,
      headers: reader.headers().map(([name, content]) => [shownBytes(name)!, shownBytes(content)] as const),
      crc: sent.has(own) ? own : 0
    })
  })
  return found
}

export const quietLimits = { tailBytesMax: 0, commitInFlightBytesMax: 1e9 }

/** An empty file takes 50 KB, which is much for a small segment and nothing for a real one. */
const segmentBytesMin = 400_000

/** A shard over a journal on disk, with a model of what its logs hold. */
export class History {
  directory: string
  readonly segmentBytes: number
  readonly kept = new Map<number, Array<Kept>>()
  readonly startOffsets = new Map<number, number>()
  readonly sent = new Set<number>()
  journal: LmdbJournal
  harness: ShardHarness
  readonly #clock = new TestClock()

  readonly #limits: Partial<Limits>

  private constructor(directory: string, segmentBytes: number, limits: Partial<Limits>) {
    this.directory = directory
    this.segmentBytes = segmentBytes
    this.#limits = limits
    this.journal = this.#open()
    this.harness = this.#start()
  }

  static async open(directory: string, segmentBytes = 40_000, limits: Partial<Limits> = {}): Promise<History> {
    const history = new History(directory, segmentBytes, { ...quietLimits, ...limits })
    await history.flush()
    return history
  }

  #open(): LmdbJournal {
    const { directory, segmentBytes } = this
    return LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 })
  }

  #start(): ShardHarness {
    return new ShardHarness({ clock: this.#clock, journal: this.journal, limits: this.#limits }).start()
  }

  /** Everything offered is durable then. */
  async flush(): Promise<void> {
    for (let turns = 0; turns < 3; turns++) {
      this.#clock.runTurns()
      await this.harness.shard.completed()
    }
  }

  async restart(): Promise<void> {
    await this.flush()
    this.harness.shard.stop()
    await this.journal.close()
    this.journal = this.#open()
    this.harness = this.#start()
    await this.flush()
  }

  /** The same history in a copy of its directory; this one must be closed. */
  async reopen(directory: string): Promise<void> {
    this.directory = directory
    this.journal = this.#open()
    this.harness = this.#start()
    await this.flush()
  }

  async close(): Promise<void> {
    await this.flush()
    this.harness.shard.stop()
    await this.journal.close()
  }

  #keep(logId: number, contents: ReadonlyArray<RecordContent>, crc: number): void {
    const kept = this.kept.get(logId) ?? []
    this.kept.set(logId, kept)
    for (const content of contents) kept.push({ headers: [], ...content, offset: kept.length, crc })
  }

  /** The server's own records, in one commit: small ones in the frame, larger ones as a value of their own. */
  records(logId: number, contents: ReadonlyArray<RecordContent>): void {
    const { bytes, count, firstTimestampMs, maxTimestampMs } = encodeRecords(contents)
    const command = { _tag: "AppendRecords", count, firstTimestampMs, maxTimestampMs, bytes } as const
    this.harness.tell(`partition/${logId}`, command)
    this.#keep(logId, contents, 0)
  }

  /** An idempotent producer's batch. */
  batch(logId: number, contents: ReadonlyArray<RecordContent>, codec: Codec | "none"): void {
    const { bytes, count, firstTimestampMs, maxTimestampMs } = encodeRecords(contents)
    const fields = {
      baseOffset: 0,
      partitionLeaderEpoch: -1,
      codec,
      count,
      baseTimestampMs: firstTimestampMs,
      maxTimestampMs,
      producerId: 4000 + logId,
      producerEpoch: 1,
      baseSequence: this.kept.get(logId)?.length ?? 0
    }
    const batch = RecordBatch.buildBatch(fields, codec === "none" ? bytes : compress(codec, bytes))
    this.sent.add(RecordBatch.crc(batch))
    const command = { _tag: "AppendBatch", count, firstTimestampMs, maxTimestampMs, bytes: batch } as const
    this.harness.tell(`partition/${logId}`, command)
    this.#keep(logId, contents, RecordBatch.crc(batch))
  }

  moveStart(logId: number, offset: number): void {
    this.harness.tell(`partition/${logId}`, { _tag: "MoveLogStart", offset })
    this.startOffsets.set(logId, Math.max(this.startOffsets.get(logId) ?? 0, offset))
  }

  deleteLog(logId: number): void {
    this.harness.tell(`partition/${logId}`, { _tag: "DeleteLog" })
    this.kept.delete(logId)
  }

  /** The time of what comes next. */
  advance(ms: number): void {
    this.#clock.advance(ms)
  }

  count(n: number): void {
    this.harness.tell("counter/a", { _tag: "Add", n })
  }

  /** Closes the segment that is written. */
  async roll(): Promise<void> {
    const before = this.journal.writtenSegmentSeq
    for (let i = 0; this.journal.writtenSegmentSeq === before; i++) {
      this.harness.tell("counter/roll", { _tag: "Note", bytes: Buffer.alloc(10_000, i) })
      this.harness.tell("counter/roll", { _tag: "Reset" })
      await this.flush()
    }
  }

  get unsettled(): number {
    return this.journal
      .segments()
      .slice(0, -1)
      .filter(({ isSettled }) => !isSettled).length
  }

  /** Settles every closed segment; tells of those that could not be. */
  async settle(
    work: (job: SettleJob) => SettleWork = inProcess(),
    at: (step: SettlerStep) => void = () => undefined
  ): Promise<ReadonlyArray<string>> {
    const failures: Array<string> = []
    let left = this.unsettled
    const { promise, resolve } = Promise.withResolvers<void>()
    const settler = new Settler({
      journal: this.journal,
      logs: this.harness.shard.logs,
      clock: systemClock,
      work,
      onHold: () => undefined,
      onSettled: () => --left === 0 && resolve(),
      onFailed: (segment, detail, failure) => {
        failures.push(`${segment}: ${detail}`)
        if (failure === "givenUp" && --left === 0) resolve()
      },
      at
    })
    if (left === 0) resolve()
    settler.start()
    await promise
    await settler.stop()
    return failures
  }

  /**
   * Settles, rewrites and merges until nothing is worth it; tells what was done. Throws if something could not be.
   * Events before `keptFromSeq` may go.
   */
  async rewrite(
    keptFromSeq = 0,
    work: (job: SettleJob) => SettleWork = inProcess(),
    at: (step: SettlerStep) => void = () => undefined
  ): Promise<ReadonlyArray<string>> {
    const options = { journal: this.journal, logs: this.harness.shard.logs, work, at }
    return rewriteAll(options, Math.max(this.segmentBytes, segmentBytesMin), () => keptFromSeq)
  }

  /** Bytes of all segments' files. */
  get diskBytes(): number {
    const names = readdirSync(this.directory).filter((name) => name.endsWith(".mdb"))
    return names.reduce((sum, name) => sum + statSync(join(this.directory, name)).size, 0)
  }

  /** Every offset of every log, read with the log's own borders and with these. Throws for what differs from the model. */
  check(bytesMax = 1e9): void {
    const { logs } = this.harness.shard
    for (const [logId, kept] of this.kept) {
      const log = logs.log(logId)
      const startOffset = this.startOffsets.get(logId) ?? 0
      if (log.startOffset !== startOffset || log.highWatermark !== kept.length) {
        throw new Error(
          `log ${logId}: ${log.startOffset} to ${log.highWatermark}, wanted ${startOffset} to ${kept.length}`
        )
      }
      for (let offset = startOffset; offset < kept.length; offset++) {
        const found = logs.read(log, offset, bytesMax).flatMap((batch) => recordsIn(batch, this.sent))
        const first = found[0]!.offset
        const last = found.at(-1)!.offset
        const wanted = kept.slice(first, last + 1)
        if (first > offset || last < offset || JSON.stringify(found.map(flat)) !== JSON.stringify(wanted.map(flat))) {
          throw new Error(`log ${logId} read from ${offset} gave ${first} to ${last}, or other records`)
        }
      }
    }
  }

  /** What a replay of the whole journal sees, but for where records lie. */
  replay(): ReplayView {
    return replayOf(this.journal)
  }

  firstSeqs(): Array<Seq> {
    return this.journal.segments().map(({ firstSeq }) => firstSeq)
  }
}

export interface ReplayView {
  readonly states: string
  readonly events: string
  readonly hashes: number
  readonly mismatches: number
}

export const replayOf = (journal: Journal): ReplayView => {
  const events: Array<JournaledEvent> = []
  let mismatches = 0
  const { states, hashes } = new Replay([ShardActor, makeCounter(), ToyPartition], {
    fromStart: true,
    onEvent: (event) => events.push(event),
    onMismatch: () => mismatches++
  }).run(journal)
  const sorted = [...states].sort(([a], [b]) => (a < b ? -1 : 1))
  return { states: JSON.stringify(sorted), events: JSON.stringify(events), hashes, mismatches }
}

const flat = ({ offset, key, value, timestampMs, headers, crc }: Kept) => [
  offset,
  key,
  value,
  timestampMs,
  headers ?? [],
  crc
]
