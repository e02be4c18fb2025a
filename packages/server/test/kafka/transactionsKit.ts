import { partitionId } from "@logbrook/core/actor/LogEvents"
import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { expect } from "vitest"
import { batchOf, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, only } from "./requests.ts"

/** The producers of a partition's transactions, without their coordinator. */
export class TransactionalWriter {
  readonly #kit: Kit
  readonly #logId: number
  readonly #sequences = new Map<number, number>()
  /** By offset; undefined: a marker. */
  readonly values: Array<string | undefined> = []
  /** The values that readers of committed records get, by offset. */
  readonly committed = new Map<number, string>()
  readonly #open = new Map<number, Array<number>>()

  constructor(kit: Kit, logId: number) {
    this.#kit = kit
    this.#logId = logId
  }

  get endOffset(): number {
    return this.values.length
  }

  get lastStableOffset(): number {
    return Math.min(this.endOffset, ...[...this.#open.values()].map((offsets) => offsets[0]!))
  }

  async batch(producerId: number, values: ReadonlyArray<string>, isTransactional = true): Promise<number> {
    const baseSequence = this.#sequences.get(producerId) ?? 0
    this.#sequences.set(producerId, baseSequence + values.length)
    const fields = { producerId, producerEpoch: 0, baseSequence, isTransactional }
    const bytes = batchOf(values, fields)
    const times = { baseTimestampMs: RecordBatch.baseTimestamp(bytes), maxTimestampMs: RecordBatch.maxTimestamp(bytes) }
    const transaction = isTransactional ? { version: 1, isAdded: true } : undefined
    const batch = { bytes, count: values.length, ...times, producerId, producerEpoch: 0, baseSequence }
    const command = { _tag: "AppendBatch", ...batch, isBehind: false, transaction, timestampType: "CreateTime" }
    await this.#kit.ask(partitionId(this.#logId), command)
    const baseOffset = this.endOffset
    const offsets = values.map((value) => this.values.push(value) - 1)
    if (isTransactional) this.#open.set(producerId, [...(this.#open.get(producerId) ?? []), ...offsets])
    else for (const offset of offsets) this.committed.set(offset, this.values[offset]!)
    return baseOffset
  }

  async end(producerId: number, outcome: TransactionOutcome): Promise<void> {
    const marker = { producerId, producerEpoch: 0, coordinatorEpoch: 0, outcome }
    await this.#kit.ask(partitionId(this.#logId), { _tag: "WriteMarker", ...marker, transactionVersion: 1 })
    this.values.push(undefined)
    const offsets = this.#open.get(producerId) ?? []
    this.#open.delete(producerId)
    if (outcome === "commit") for (const offset of offsets) this.committed.set(offset, this.values[offset]!)
  }

  /** What a reader of committed records gets from `offset` on, in order. */
  committedFrom(offset: number): ReadonlyArray<string> {
    const end = this.lastStableOffset
    return [...this.committed]
      .filter(([at]) => at >= offset && at < end)
      .sort(([a], [b]) => a - b)
      .map(([, value]) => value)
  }
}

const valuesOf = (batch: Uint8Array, fromOffset: number): ReadonlyArray<string> => {
  const found: Array<string> = []
  const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
  while (reader.next()) {
    if (RecordBatch.baseOffset(batch) + reader.offsetDelta >= fromOffset)
      found.push(Buffer.from(reader.value()!).toString())
  }
  return found
}

/** Whether a control batch ends an aborted transaction. */
const isAbort = (batch: Uint8Array): boolean => {
  const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
  return reader.next() && Buffer.from(reader.key()!).readInt16BE(2) === 0
}

/** Reads as Kafka's own consumer does: whom a list of aborted transactions names is passed over up to its abort marker. */
export const readCommitted = async (
  client: RawClient,
  topic: string,
  fromOffset: number,
  maxBytes: number
): Promise<{
  readonly values: ReadonlyArray<string>
  readonly position: number
  readonly lastStableOffset: number
}> => {
  const values: Array<string> = []
  let position = fromOffset
  for (;;) {
    const asked = { offset: position, isolationLevel: 1, maxBytes, partitionMaxBytes: maxBytes }
    const { errorCode, records, abortedTransactions, lastStableOffset } = only(
      await client.send(Fetch, 11, fetchOf(topic, asked))
    )
    expect(errorCode).toBe(0)
    if (records === null || records.length === 0) return { values, position, lastStableOffset }
    const waiting = [...abortedTransactions!]
    expect(waiting).toEqual([...waiting].sort((a, b) => a.firstOffset - b.firstOffset))
    const aborted = new Set<number>()
    const from = position
    RecordBatch.batchesOf(records, (at, length) => {
      const batch = records.subarray(at, at + length)
      const producerId = RecordBatch.producerId(batch)
      position = RecordBatch.lastOffset(batch) + 1
      while (waiting.length > 0 && waiting[0]!.firstOffset < position) aborted.add(waiting.shift()!.producerId)
      if (RecordBatch.isControl(batch)) {
        if (isAbort(batch)) aborted.delete(producerId)
      } else if (!RecordBatch.isTransactional(batch) || !aborted.has(producerId)) values.push(...valuesOf(batch, from))
    })
    expect(waiting).toEqual([])
  }
}
