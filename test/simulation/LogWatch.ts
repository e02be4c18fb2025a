import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { LogStore } from "@logbrook/core/storage/LogStore"
import { KeyedReader } from "./KeyedReader.ts"
import type { Model, ModelLog } from "./Model.ts"
import { idOfRecord } from "./payload.ts"
import type { Random } from "./Random.ts"
import type { Scheduler } from "./Scheduler.ts"
import type { SimJournal } from "./SimJournal.ts"

/** Compares what readers of the server's logs get with what the model says was stored. */
export class LogWatch {
  readonly #model: Model
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #violated: (message: string) => never
  readonly #keyedReader = new KeyedReader()
  /** When compactions began, Unix ms. */
  readonly compactedMs = new Set<number>()

  /** `random` says from where else compacted logs are read. */
  constructor(model: Model, scheduler: Scheduler, random: Random, violated: (message: string) => never) {
    this.#model = model
    this.#scheduler = scheduler
    this.#random = random
    this.#violated = violated
  }

  /** Every record that is kept can be read at its offset. */
  check(logs: LogStore, journal: SimJournal): void {
    this.checkKeyed(logs, journal)
    this.checkTransactions(logs)
    for (const log of this.#model.logs.values()) {
      if (log.isDeleted || this.#model.keyed.has(log.id)) continue
      let offset = log.startOffset
      while (offset < log.nextOffset) {
        const [batch] = logs.read(logs.log(log.id), offset, 1)
        if (batch === undefined) return this.#violated(`log ${log.id}:${offset} can not be read`)
        offset = this.#checkBatch(log, batch, offset)
      }
    }
  }

  /** Where records are stable, and which of them are aborted, is what the model finds among all that became durable. */
  checkTransactions(logs: LogStore): void {
    for (const [logId, transactions] of this.#model.transactions) {
      const { isDeleted, startOffset, nextOffset } = this.#model.log(logId)
      if (isDeleted) continue
      const log = logs.log(logId)
      const stable = transactions.lastStableOffset(startOffset, nextOffset)
      if (log.lastStableOffset !== stable) {
        this.#violated(`log ${logId} is stable below ${log.lastStableOffset}, not below ${stable}`)
      }
      const told = log
        .abortedWithin(startOffset, nextOffset)
        .map(({ producerId, firstOffset, lastOffset }) => ({ producerId, firstOffset, lastOffset }))
      const own = transactions.abortedFrom(startOffset)
      if (JSON.stringify(told) !== JSON.stringify(own)) {
        this.#violated(`log ${logId} tells of ${JSON.stringify(told)} as aborted, not of ${JSON.stringify(own)}`)
      }
    }
  }

  /** Where the batch ends. */
  #checkBatch({ id, ids }: ModelLog, batch: Uint8Array, wantedOffset: number): number {
    const baseOffset = RecordBatch.baseOffset(batch)
    const endOffset = RecordBatch.lastOffset(batch) + 1
    if (baseOffset > wantedOffset || endOffset <= wantedOffset) {
      this.#violated(`log ${id}:${wantedOffset} is read as ${baseOffset} to ${endOffset}`)
    }
    let at = baseOffset
    if (RecordBatch.isControl(batch)) return endOffset
    iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
      const found = idOfRecord(record)
      if (found !== ids[at]) this.#violated(`log ${id}:${at} is read as ${found}, it was ${ids[at]}`)
      at++
    })
    if (at !== endOffset) this.#violated(`log ${id}: ${endOffset - at} records are missing from ${at} on`)
    return endOffset
  }

  /** Of streams that are compacted: what a reader gets from the beginning to the end. */
  checkKeyed(logs: LogStore, journal: SimJournal): void {
    const unsettledSeq = journal.segments().find(({ isSettled }) => !isSettled)?.firstSeq ?? Infinity
    for (const [logId, keyed] of this.#model.keyed) {
      const log = logs.log(logId)
      const { startOffset } = this.#model.log(logId)
      const read = this.#keyedReader.read(logs, log, startOffset)
      const fromOffset = this.#random.between(startOffset, Math.max(startOffset, log.highWatermark))
      keyed.checkSuffix(this.#keyedReader.read(logs, log, fromOffset), read, fromOffset)
      keyed.check(read, {
        wallMsMax: this.#scheduler.nowMsMax,
        endOffset: log.highWatermark,
        unsettledSeq,
        compactedMs: this.compactedMs
      })
    }
  }
}
