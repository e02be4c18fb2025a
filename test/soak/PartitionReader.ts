import { iterate, type RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { setTimeout as sleep } from "node:timers/promises"
import { KafkaPipe } from "../crash/KafkaPipe.ts"

const fetchBytes = 1024 * 1024
const waitMs = 200
const retryMs = 100
const earliest = -2
const latest = -1

/** What a reader is told of one record; the bytes are valid until the call returns. */
export type Visit = (key: string, value: string, offset: number) => void

/** Reads one partition of a stream over the Kafka protocol, offset by offset, over restarts of the server. */
export class PartitionReader {
  readonly #port: number
  readonly #stream: string
  readonly #partition: number
  readonly #faults: Array<string>
  #pipe: KafkaPipe | undefined
  /** The next offset. */
  offset = 0

  constructor(port: number, stream: string, partition: number, faults: Array<string>) {
    this.#port = port
    this.#stream = stream
    this.#partition = partition
    this.#faults = faults
  }

  /** Undefined when the connection broke: the next call makes another. */
  async #ask<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>
  ): Promise<ResponseOf<A> | undefined> {
    try {
      const pipe = (this.#pipe ??= await KafkaPipe.connect(this.#port))
      const { promise, resolve } = Promise.withResolvers<ResponseOf<A>>()
      await pipe.send(api, version, request, resolve)
      await pipe.answered()
      return await promise
    } catch {
      this.#pipe = undefined
      await sleep(retryMs)
      return undefined
    }
  }

  async #offsetAt(timestamp: number): Promise<number> {
    const topics = [{ name: this.#stream, partitions: [{ partitionIndex: this.#partition, timestamp }] }]
    const answer = await this.#ask(ListOffsets, 5, { replicaId: -1, isolationLevel: 0, topics })
    return answer === undefined ? this.#offsetAt(timestamp) : answer.topics[0]!.partitions[0]!.offset
  }

  /** The first offset that is still there. */
  start(): Promise<number> {
    return this.#offsetAt(earliest)
  }

  /** One after the last offset. */
  end(): Promise<number> {
    return this.#offsetAt(latest)
  }

  /** Reads what is there, or what comes soon. */
  async next(visit: Visit): Promise<void> {
    const { offset } = this
    const partition = {
      partition: this.#partition,
      currentLeaderEpoch: -1,
      fetchOffset: offset,
      lastFetchedEpoch: -1,
      partitionMaxBytes: fetchBytes
    }
    const answer = await this.#ask(Fetch, 11, {
      maxWaitMs: waitMs,
      minBytes: 1,
      maxBytes: fetchBytes,
      isolationLevel: 0,
      topics: [{ topic: this.#stream, partitions: [partition] }]
    })
    const found = answer?.responses[0]?.partitions[0]
    if (found === undefined) return
    if (found.errorCode !== KafkaError.NONE) {
      this.#faults.push(`${this.#place}: error ${found.errorCode}`)
      await sleep(retryMs)
    } else if (found.records !== null) this.#batches(found.records, visit)
  }

  get #place(): string {
    return `${this.#stream}/${this.#partition} at ${this.offset}`
  }

  #batches(bytes: Uint8Array, visit: Visit): void {
    RecordBatch.batchesOf(bytes, (at, length) => {
      const batch = bytes.subarray(at, at + length)
      const base = RecordBatch.baseOffset(batch)
      if (base > this.offset) this.#faults.push(`${this.#place}: the next batch begins at ${base}`)
      iterate(RecordBatch.storedRecordsOf(batch), RecordBatch.count(batch), (record) =>
        this.#record(record, base, visit)
      )
      this.offset = Math.max(this.offset, RecordBatch.lastOffset(batch) + 1)
    })
  }

  #record(record: RecordReader, base: number, visit: Visit): void {
    const offset = base + record.offsetDelta
    if (offset < this.offset) return
    visit(text(record.key()), text(record.value()), offset)
  }

  async close(): Promise<void> {
    await this.#pipe?.end().catch(() => undefined)
  }
}

const text = (bytes: Uint8Array | null): string => (bytes === null ? "" : Buffer.from(bytes).toString("latin1"))
