import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { idOfRecord } from "../payload.ts"
import type { CommittedReaderPlan } from "../Plan.ts"
import type { World } from "../World.ts"
import { Follower, type Followed } from "./Follower.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

const fetchSlackMs = 15_000
const readCommitted = 1

type Answered = ResponseOf<typeof Fetch>["responses"][number]["partitions"][number]

/** Whether a control batch ends an aborted transaction. */
const isAbort = (batch: Uint8Array): boolean => {
  const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
  return reader.next() && Buffer.from(reader.key()!).readInt16BE(2) === 0
}

/** Follows a stream with `isolation.level=read_committed`, and passes over what is aborted as Kafka's consumer does. */
export const committedReader = (world: World, plan: CommittedReaderPlan): Follower => {
  const { name, stream, version, bytesMax } = plan
  const peer = new KafkaPeer(world, name)
  const committed = new CommittedRecords(world, plan)
  return new Follower(world, peer, {
    stream,
    isolationLevel: readCommitted,
    fetch: (positions, waitMs, onAnswer) => {
      const partitions = positions.map((fetchOffset, partition) => ({
        partition,
        fetchOffset,
        partitionMaxBytes: bytesMax
      }))
      const request = { maxWaitMs: waitMs, minBytes: 1, maxBytes: bytesMax, isolationLevel: readCommitted }
      const topics = [{ topic: stream, partitions }]
      peer.request(Fetch, version, { ...request, topics }, waitMs + fetchSlackMs, (response) =>
        onAnswer(
          response?.responses[0]?.partitions.map((answer): Followed => {
            const { partitionIndex: partition, errorCode } = answer
            const from = positions[partition]!
            const nextOffset = errorCode === KafkaError.NONE ? committed.got(answer, from) : from
            return { partition, errorCode, nextOffset }
          })
        )
      )
    }
  })
}

/** Holds the records of a stream that are delivered as committed against those that are. */
class CommittedRecords {
  readonly #world: World
  readonly #plan: CommittedReaderPlan

  constructor(world: World, plan: CommittedReaderPlan) {
    this.#world = world
    this.#plan = plan
  }

  /** The offset where the next fetch begins. */
  got({ partitionIndex: partition, records, abortedTransactions, lastStableOffset }: Answered, from: number): number {
    const bytes = records ?? new Uint8Array(0)
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
      this.#world.violated(`${this.#plan.name} gets ${partition}:${position - 1} behind the last stable offset`)
    }
    this.#checkWhole(partition, from, position, delivered)
    return position
  }

  #delivered(partition: number, batch: Uint8Array, from: number, delivered: Set<number>): void {
    const { stream } = this.#plan
    const log = this.#world.model.logOf(stream, partition)!
    const reader = new RecordReader().reset(RecordBatch.recordsOf(batch))
    while (reader.next()) {
      const offset = RecordBatch.baseOffset(batch) + reader.offsetDelta
      if (offset < from) continue
      const where = `${stream}/${partition}:${offset}`
      if (log.ids[offset] !== idOfRecord(reader))
        this.#world.violated(`${this.#plan.name} gets something else at ${where}`)
      if (!this.#world.model.transactionsOf(log.id).isVisible(offset)) {
        this.#world.violated(`${this.#plan.name} gets ${where}, which is not committed`)
      }
      delivered.add(offset)
    }
    this.#world.trace(`${this.#plan.name} gets ${stream}/${partition}:${RecordBatch.baseOffset(batch)}`)
  }

  /** Everything that is committed between where it was and where it goes on. */
  #checkWhole(partition: number, from: number, to: number, delivered: ReadonlySet<number>): void {
    const log = this.#world.model.logOf(this.#plan.stream, partition)!
    const transactions = this.#world.model.transactionsOf(log.id)
    for (let offset = Math.max(from, log.startOffset); offset < to; offset++) {
      if (transactions.isVisible(offset) && !delivered.has(offset)) {
        this.#world.violated(`${this.#plan.name} is not given ${this.#plan.stream}/${partition}:${offset}`)
      }
    }
  }
}
