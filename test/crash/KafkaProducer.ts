import { setTimeout as sleep } from "node:timers/promises"
import type { Kafka, Producer } from "kafkajs"
import { openProducer, retryOverRestarts } from "../support/overRestarts.ts"

/** Records with these ids lie from `baseOffset` on in the partition: a Produce response said so. */
export interface Acknowledged {
  readonly partition: number
  readonly baseOffset: number
  readonly ids: ReadonlyArray<string>
}

export interface Outgoing {
  readonly id: string
  /** The id when left out; else the id is in the header `id`. */
  readonly key?: string
  /** Null is a tombstone. */
  readonly value: Buffer | null
}

const config = { idempotent: true, maxInFlightRequests: 1, retry: retryOverRestarts }

/** An idempotent producer that sends batches one after another, over restarts of its server. */
export class KafkaProducer {
  readonly acknowledged: Array<Acknowledged> = []
  /** Why batches were given up, of which nobody knows what became. */
  readonly givenUp: Array<string> = []
  readonly #kafka: Kafka
  readonly #stream: string
  readonly #partitions: number
  readonly #batchOf: (n: number) => ReadonlyArray<Outgoing>
  /** Between two batches. */
  pauseMs: number
  #isEnding = false
  readonly #running: Promise<void>

  constructor(
    kafka: Kafka,
    stream: string,
    partitions: number,
    pauseMs: number,
    batchOf: (n: number) => ReadonlyArray<Outgoing>
  ) {
    this.#kafka = kafka
    this.#stream = stream
    this.#partitions = partitions
    this.pauseMs = pauseMs
    this.#batchOf = batchOf
    this.#running = this.#run()
  }

  /** Resolves when the batch under way is settled. */
  async end(): Promise<void> {
    this.#isEnding = true
    await this.#running
  }

  async #run(): Promise<void> {
    let producer = await openProducer(this.#kafka, config)
    for (let n = 0; !this.#isEnding; n++) {
      try {
        await this.#send(producer, n)
      } catch (error) {
        // kafkajs would give the sequence numbers of this batch to the next one: another producer has other ones.
        this.givenUp.push(String(error))
        await producer.disconnect()
        producer = await openProducer(this.#kafka, config)
      }
      await sleep(this.pauseMs)
    }
    await producer.disconnect()
  }

  async #send(producer: Producer, n: number): Promise<void> {
    const partition = n % this.#partitions
    const batch = this.#batchOf(n)
    const messages = batch.map(({ id, key, value }) =>
      key === undefined ? { key: id, value, partition } : { key, value, partition, headers: { id } }
    )
    const [result] = await producer.send({ topic: this.#stream, acks: -1, messages })
    this.acknowledged.push({ partition, baseOffset: Number(result!.baseOffset), ids: batch.map(({ id }) => id) })
  }
}
