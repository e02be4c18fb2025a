import { nextOffset } from "./kafkaFetch.ts"
import { KafkaClient } from "./KafkaClient.ts"
import type { Reader, ReaderEvents, Reading } from "./Reader.ts"

const mib = 1024 * 1024
/** A consumer's defaults: `fetch.max.wait.ms`, `max.partition.fetch.bytes`; its `fetch.max.bytes` is of 50 MB. */
const waits = { maxWaitMs: 500, partitionBytesMax: mib, bytesMax: 50 * mib }

/** Fetches all partitions in turn as a consumer does, waiting for what is to come. */
export class KafkaReader implements Reader {
  readonly #client: KafkaClient
  readonly #topic: string
  readonly #offsets: Map<number, number>
  #isOpen = true
  received = 0

  private constructor(client: KafkaClient, topic: string, offsets: Map<number, number>) {
    this.#client = client
    this.#topic = topic
    this.#offsets = offsets
  }

  static async follow(
    { port, topic, partitions }: Extract<Reading, { protocol: "kafka" }>,
    events: ReaderEvents
  ): Promise<KafkaReader> {
    const client = await KafkaClient.connect(port)
    const marks = await client.highWatermarks(topic, partitions)
    const reader = new KafkaReader(client, topic, new Map(marks.entries()))
    reader.#run(events.onReceived).catch((error: Error) => reader.#isOpen && events.onFailed(error))
    return reader
  }

  async #run(onReceived: () => void): Promise<void> {
    while (this.#isOpen) {
      const fetched = await this.#client.fetch(this.#topic, this.#offsets, waits)
      for (const { partition, records } of fetched) {
        const from = this.#offsets.get(partition)!
        const next = nextOffset(records, from)
        this.received += next - from
        this.#offsets.set(partition, next)
      }
      onReceived()
    }
  }

  close(): void {
    this.#isOpen = false
    this.#client.close()
  }
}
