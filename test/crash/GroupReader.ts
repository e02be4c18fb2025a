import type { Consumer, Kafka } from "kafkajs"
import { retryOverRestarts } from "../support/overRestarts.ts"

/** The shortest that a server allows: a member that is lost in a kill holds the group up no longer. */
const sessionTimeoutMs = 6000

/** Members of one group that read a stream and commit after each batch; they know which commits were acknowledged. */
export class GroupReader {
  /** By partition, the highest offset of which the commit was acknowledged. */
  readonly acknowledged = new Map<number, number>()
  /** By partition, the highest offset that was ever sent to be committed. */
  readonly tried = new Map<number, number>()
  commits = 0
  /** What ended members that kafkajs did not begin again. */
  readonly ends: Array<string> = []
  readonly #consumers = new Set<Consumer>()
  readonly #stream: string
  readonly #members: number
  readonly #make: () => Consumer
  #isEnding = false

  constructor(kafka: Kafka, groupId: string, stream: string, members: number) {
    this.#stream = stream
    this.#members = members
    this.#make = () =>
      kafka.consumer({
        groupId,
        retry: retryOverRestarts,
        sessionTimeout: sessionTimeoutMs,
        maxWaitTimeInMs: 100,
        heartbeatInterval: 500
      })
  }

  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.#members }, () => this.#run()))
  }

  /** kafkajs ends a member for good whose commit comes behind a rebalance; another one takes its place, as an application would have it. */
  #replace(consumer: Consumer, why: Error): void {
    this.ends.push(why.stack ?? why.message)
    this.#consumers.delete(consumer)
    if (!this.#isEnding) void this.#run().catch((error: Error) => this.ends.push(error.message))
  }

  async #run(): Promise<void> {
    const consumer = this.#make()
    this.#consumers.add(consumer)
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      if (!restart) this.#replace(consumer, error)
    })
    await consumer.connect()
    await consumer.subscribe({ topic: this.#stream, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, resolveOffset }) => {
        const next = Number(batch.lastOffset()) + 1
        resolveOffset(batch.lastOffset())
        this.#raise(this.tried, batch.partition, next)
        await consumer.commitOffsets([{ topic: this.#stream, partition: batch.partition, offset: String(next) }])
        this.#raise(this.acknowledged, batch.partition, next)
        this.commits++
      }
    })
  }

  #raise(offsets: Map<number, number>, partition: number, offset: number): void {
    offsets.set(partition, Math.max(offset, offsets.get(partition) ?? 0))
  }

  async end(): Promise<void> {
    this.#isEnding = true
    await Promise.all(Array.from(this.#consumers, (consumer) => consumer.disconnect()))
  }
}
