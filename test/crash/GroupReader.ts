import type { Consumer, Kafka } from "kafkajs"

const retry = { initialRetryTime: 50, maxRetryTime: 300, retries: 60 }
/** The shortest that a server allows: a member that is lost in a kill holds the group up no longer. */
const sessionTimeoutMs = 6000

/** Members of one group that read a stream and commit after each batch; they know which commits were acknowledged. */
export class GroupReader {
  /** By partition, the highest offset of which the commit was acknowledged. */
  readonly acknowledged = new Map<number, number>()
  /** By partition, the highest offset that was ever sent to be committed. */
  readonly tried = new Map<number, number>()
  commits = 0
  /** What ended a member that kafkajs does not begin again. */
  readonly ends: Array<string> = []
  readonly #consumers: ReadonlyArray<Consumer>
  readonly #stream: string

  constructor(kafka: Kafka, groupId: string, stream: string, members: number) {
    this.#stream = stream
    this.#consumers = Array.from({ length: members }, () =>
      kafka.consumer({ groupId, retry, sessionTimeout: sessionTimeoutMs, maxWaitTimeInMs: 100, heartbeatInterval: 500 })
    )
  }

  async start(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => this.#run(consumer)))
  }

  async #run(consumer: Consumer): Promise<void> {
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      if (!restart) this.ends.push(error.stack ?? error.message)
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
    await Promise.all(this.#consumers.map((consumer) => consumer.disconnect()))
  }
}
