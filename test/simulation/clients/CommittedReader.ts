import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import type { ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { idOfRecord } from "../payload.ts"
import type { CommittedReaderPlan } from "../Plan.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 8000
const fetchWaitMs = 5000
const fetchSlackMs = 15_000
const retryMsMax = 500
const readCommitted = 1

type Answered = ResponseOf<typeof Fetch>["responses"][number]["partitions"][number]

/** Whether a control batch ends an aborted transaction. */
const isAbort = (batch: Uint8Array): boolean => {
  const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
  return reader.next() && Buffer.from(reader.key()!).readInt16BE(2) === 0
}

/** Follows all partitions of a stream with `isolation.level=read_committed`, and passes over what is aborted as Kafka's consumer does. */
export class CommittedReader implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: CommittedReaderPlan
  readonly #peer: KafkaPeer
  readonly #positions: Array<number> = []
  #isOver = false

  constructor(world: World, plan: CommittedReaderPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name)
  }

  start(): void {
    const { logIds } = this.#world.model.streams.get(this.#plan.stream)!
    this.#positions.push(...logIds.map(() => 0))
    this.#read()
  }

  waitsFor(): string | undefined {
    const { stream } = this.#plan
    for (const [partition, position] of this.#positions.entries()) {
      const end = this.#world.model.logOf(stream, partition)!.nextOffset
      if (position < end) return `${this.name} is at ${stream}/${partition}:${position} of ${end}`
    }
    return undefined
  }

  leave(): void {
    this.#isOver = true
    this.#peer.close()
  }

  #later(what: () => void): void {
    this.#world.scheduler.after(this.#peer.random.tail(5, retryMsMax) * 1000, what)
  }

  #read(): void {
    if (this.#isOver) return
    const { stream, version, bytesMax } = this.#plan
    const waitMs = this.#peer.random.pick([0, fetchWaitMs, fetchWaitMs])
    const partitions = this.#positions.map((fetchOffset, partition) => ({
      partition,
      fetchOffset,
      partitionMaxBytes: bytesMax
    }))
    const request = { maxWaitMs: waitMs, minBytes: 1, maxBytes: bytesMax, isolationLevel: readCommitted }
    const topics = [{ topic: stream, partitions }]
    this.#peer.request(Fetch, version, { ...request, topics }, waitMs + fetchSlackMs, (response) => {
      const answers = response?.responses[0]?.partitions
      if (answers === undefined) return this.#later(() => this.#read())
      let outOfRange = -1
      for (const answer of answers) {
        if (answer.errorCode === KafkaError.NONE) this.#got(answer)
        else if (answer.errorCode === KafkaError.OFFSET_OUT_OF_RANGE) outOfRange = answer.partitionIndex
      }
      if (outOfRange >= 0) return this.#reset(outOfRange)
      return waitMs === 0 ? this.#later(() => this.#read()) : this.#read()
    })
  }

  #reset(partition: number): void {
    const topics = [{ name: this.#plan.stream, partitions: [{ partitionIndex: partition, timestamp: -2 }] }]
    const request = { replicaId: -1, isolationLevel: readCommitted, topics }
    this.#peer.request(ListOffsets, 5, request, timeoutMs, (response) => {
      const earliest = response?.topics[0]?.partitions[0]
      if (earliest?.errorCode === KafkaError.NONE) this.#positions[partition] = earliest.offset
      return this.#later(() => this.#read())
    })
  }

  #got({ partitionIndex: partition, records, abortedTransactions, lastStableOffset }: Answered): void {
    const bytes = records ?? new Uint8Array(0)
    const from = this.#positions[partition]!
    const waiting = [...(abortedTransactions ?? [])]
    const aborted = new Set<number>()
    const delivered = new Set<number>()
    let position = from
    RecordBatch.batchesOf(bytes, (at, length) => {
      const batch = bytes.subarray(at, at + length)
      const producerId = RecordBatch.producerId(batch)
      position = RecordBatch.lastOffset(batch) + 1
      while (waiting.length > 0 && waiting[0]!.firstOffset < position) aborted.add(waiting.shift()!.producerId)
      if (RecordBatch.isControl(batch)) {
        if (isAbort(batch)) aborted.delete(producerId)
      } else if (!RecordBatch.isTransactional(batch) || !aborted.has(producerId)) {
        this.#delivered(partition, batch, from, delivered)
      }
    })
    if (position > from && position > lastStableOffset) {
      this.#world.violated(`${this.name} gets ${partition}:${position - 1} behind the last stable offset`)
    }
    this.#checkWhole(partition, from, position, delivered)
    this.#positions[partition] = position
  }

  #delivered(partition: number, batch: Uint8Array, from: number, delivered: Set<number>): void {
    const { stream } = this.#plan
    const log = this.#world.model.logOf(stream, partition)!
    const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
    while (reader.next()) {
      const offset = RecordBatch.baseOffset(batch) + reader.offsetDelta
      if (offset < from) continue
      const where = `${stream}/${partition}:${offset}`
      if (log.ids[offset] !== idOfRecord(reader)) this.#world.violated(`${this.name} gets something else at ${where}`)
      if (!this.#world.model.transactionsOf(log.id).isVisible(offset)) {
        this.#world.violated(`${this.name} gets ${where}, which is not committed`)
      }
      delivered.add(offset)
    }
    this.#world.trace(`${this.name} gets ${stream}/${partition}:${RecordBatch.baseOffset(batch)}`)
  }

  /** Everything that is committed between where it was and where it goes on. */
  #checkWhole(partition: number, from: number, to: number, delivered: ReadonlySet<number>): void {
    const log = this.#world.model.logOf(this.#plan.stream, partition)!
    const transactions = this.#world.model.transactionsOf(log.id)
    for (let offset = Math.max(from, log.startOffset); offset < to; offset++) {
      if (transactions.isVisible(offset) && !delivered.has(offset)) {
        this.#world.violated(`${this.name} is not given ${this.#plan.stream}/${partition}:${offset}`)
      }
    }
  }
}
