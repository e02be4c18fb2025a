import * as fs from "node:fs"
import * as path from "node:path"
import { systemClock } from "@logbrook/core/Clock"
import { compress } from "@logbrook/core/Compression"
import { FrameBuilder, type StagedRecords } from "@logbrook/core/journal/Frame"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { noHeaders, RecordReader, RecordsBuilder } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import { Settler } from "@logbrook/core/settle/Settler"
import type { SettleJob } from "@logbrook/core/settle/SettleJob"
import { LogStore } from "@logbrook/core/storage/LogStore"

export interface KeyedLoadOptions {
  readonly directory: string
  readonly segmentBytes: number
  readonly keys: number
  /** Of the table of keys. */
  readonly mapBytesMax: number
  readonly work: (job: SettleJob) => SettleWork
}

export interface KeyedLoadFigures {
  /** Of all segments' files, whenever a worker had ended. */
  diskBytesMax: number
  compactedSegments: number
  compactionMs: number
  /** What workers have read and written for compactions. */
  bytesIn: number
  bytesOut: number
}

const recordsPerCommit = 500
const valueBytes = 100
const tombstoneEvery = 97
const dayMs = 24 * 60 * 60 * 1000
const lookEveryMs = 50

const logIds = { ofProducer: 1, ofServer: 2 }

/** The same numbers at every run. */
const makeRandom = (): (() => number) => {
  let state = 12_345
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 4) / 2 ** 28
  }
}

const keyOf = (key: number): Buffer => Buffer.from(`device/${key}/temperature`)

/** Known by its offset, so that a reader can check it. */
const valueOf = (offset: number): Buffer =>
  Buffer.from(`{"n":${offset},"temperature":${(offset * 7919) % 1000}}`.padEnd(valueBytes))

const isTombstone = (offset: number): boolean => offset % tombstoneEvery === 0

/**
 * Two compacted logs, one of producers' batches and one of the server's, whose records have random ones of so many keys; and a
 * model of them: the newest offset of each key.
 */
export class KeyedLoad {
  readonly figures: KeyedLoadFigures = {
    diskBytesMax: 0,
    compactedSegments: 0,
    compactionMs: 0,
    bytesIn: 0,
    bytesOut: 0
  }
  readonly #options: KeyedLoadOptions
  readonly #random = makeRandom()
  readonly #newest: ReadonlyMap<number, Float64Array>
  readonly #journal: LmdbJournal
  readonly #logs: LogStore
  readonly #settler: Settler
  #nextSeq = 1
  #maxLagMs = Infinity
  #isHeld = false
  #failure: Error | undefined

  constructor(options: KeyedLoadOptions) {
    const { directory, segmentBytes, keys } = options
    this.#options = options
    this.#newest = new Map(Object.values(logIds).map((logId) => [logId, new Float64Array(keys).fill(-1)]))
    this.#journal = LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 4_000_000 })
    this.#logs = new LogStore(this.#journal, 0, 64 * 1024)
    this.#settler = this.#makeSettler(options)
    this.#settler.start()
  }

  #makeSettler({ segmentBytes, mapBytesMax, work }: KeyedLoadOptions): Settler {
    return new Settler({
      journal: this.#journal,
      logs: this.#logs,
      clock: systemClock,
      work,
      rewriting: { segmentBytes, freedBytesMin: 1024 * 1024, lookEveryMs, keptFromSeq: () => this.#nextSeq },
      compaction: { settings: () => this.#settings(), mapBytesMax },
      onHold: (isHeld) => {
        this.#isHeld = isHeld
      },
      onSettled: (_segment, { bytesIn, bytesOut }, durationMs, kind) => {
        const { figures } = this
        figures.diskBytesMax = Math.max(figures.diskBytesMax, this.diskBytes)
        if (kind !== "compact") return
        figures.compactedSegments++
        figures.compactionMs += durationMs
        figures.bytesIn += bytesIn
        figures.bytesOut += bytesOut
      },
      onFailed: (segment, detail) => {
        this.#failure = new Error(`${segment}: ${detail}`)
      }
    })
  }

  *#settings() {
    const times = { minCompactionLagMs: 0, maxCompactionLagMs: this.#maxLagMs, deleteRetentionMs: dayMs }
    for (const logId of Object.values(logIds)) yield [logId, { minCleanableDirtyRatio: 0.5, ...times }] as const
  }

  get diskBytes(): number {
    const { directory } = this.#options
    const files = fs.readdirSync(directory).filter((name) => name.endsWith(".mdb"))
    return files.reduce((sum, name) => sum + fs.statSync(path.join(directory, name)).size, 0)
  }

  /** Appends about as many to both logs together; as a shard, it waits while closed segments wait to be settled. */
  async append(records: number): Promise<void> {
    for (let appended = 0; appended < records; appended += 2 * recordsPerCommit) {
      await this.#commit()
      while (this.#isHeld) await this.#sleep()
      if (this.#failure !== undefined) throw this.#failure
    }
  }

  async #commit(): Promise<void> {
    const frame = new FrameBuilder(this.#nextSeq, 1, systemClock.nowMs())
    for (const logId of Object.values(logIds)) frame.records(this.#records(logId), {})
    const { commit, refs } = frame.build()
    this.#nextSeq = commit.nextSeq
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#journal.append(commit, (failure) =>
      failure === undefined ? resolve() : reject(new Error(failure.detail ?? failure.reason))
    )
    await promise
    this.#logs.apply(commit, 1, refs)
  }

  #records(logId: number): StagedRecords {
    const newest = this.#newest.get(logId)!
    const baseOffset = this.#logs.log(logId).highWatermark
    const timeMs = systemClock.nowMs()
    const records = new RecordsBuilder(1 << 20)
    for (let i = 0; i < recordsPerCommit; i++) {
      const offset = baseOffset + i
      const key = Math.floor(this.#random() * this.#options.keys)
      records.append(keyOf(key), isTombstone(offset) ? null : valueOf(offset), noHeaders, timeMs)
      newest[key] = offset
    }
    const verbatim = logId === logIds.ofProducer
    const fields: RecordBatch.BatchFields = {
      baseOffset,
      partitionLeaderEpoch: 1,
      codec: verbatim ? "lz4" : "none",
      count: recordsPerCommit,
      baseTimestampMs: timeMs,
      maxTimestampMs: timeMs
    }
    const bytes = RecordBatch.buildBatch(fields, verbatim ? compress("lz4", records.bytes) : records.bytes)
    const times = { firstTimestampMs: timeMs, maxTimestampMs: timeMs }
    return { logId, baseOffset, count: recordsPerCommit, ...times, bytes, verbatim, producer: undefined }
  }

  /** Closes what is written, and waits until all that was closed is compacted. */
  async compactAll(): Promise<void> {
    const before = this.#journal.writtenSegmentSeq
    while (this.#journal.writtenSegmentSeq === before) await this.append(2 * recordsPerCommit)
    this.#maxLagMs = 0
    while (this.#dirtyBytes() > 0) {
      await this.#sleep()
      if (this.#failure !== undefined) throw this.#failure
    }
  }

  #dirtyBytes(): number {
    const bytes = Object.values(logIds).map((logId) => this.#logs.log(logId).index.compactable(Infinity, 1).dirtyBytes)
    return this.#settler.unsettled + bytes.reduce((sum, each) => sum + each, 0)
  }

  /**
   * Reads both logs to their end. Throws unless the newest record of each key is there, and only one of each below what is
   * still written; tells how many records there are below and above.
   */
  check(): { readonly compacted: number; readonly written: number } {
    let compacted = 0
    let written = 0
    for (const [logId, newest] of this.#newest) {
      const { cleanTo } = this.#logs.log(logId).index.compactable(Infinity, 1)
      const missing = new Set(newest)
      missing.delete(-1)
      const keys = new Set<string>()
      for (const { offset, key } of this.#read(logId)) {
        missing.delete(offset)
        if (offset >= cleanTo) written++
        else if (keys.has(key)) throw new Error(`log ${logId}: a second record of ${key} at offset ${offset}`)
        else compacted++
        keys.add(key)
      }
      if (missing.size > 0) throw new Error(`log ${logId}: offset ${[...missing][0]} is gone`)
    }
    return { compacted, written }
  }

  *#read(logId: number): Iterable<Found> {
    const log = this.#logs.log(logId)
    for (let offset = 0; offset < log.highWatermark;) {
      const batches = this.#logs.read(log, offset, 1 << 20)
      for (const batch of batches) yield* recordsOf(batch)
      offset = RecordBatch.lastOffset(batches.at(-1)!) + 1
    }
  }

  async close(): Promise<void> {
    await this.#settler.stop()
    await this.#journal.close()
  }

  #sleep(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    systemClock.after(10, resolve)
    return promise
  }
}

interface Found {
  readonly offset: number
  readonly key: string
}

/** Throws for a record whose value is not that of its offset. */
function* recordsOf(batch: Uint8Array): Iterable<Found> {
  const reader = new RecordReader().reset(RecordBatch.storedRecordsOf(batch))
  while (reader.next()) {
    const offset = RecordBatch.baseOffset(batch) + reader.offsetDelta
    const value = reader.value()
    const isRight = isTombstone(offset) ? value === null : value !== null && valueOf(offset).equals(value)
    if (!isRight) throw new Error(`offset ${offset} has another value`)
    yield { offset, key: Buffer.from(reader.key()!).toString("latin1") }
  }
}
