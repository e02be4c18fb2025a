import { setTimeout as sleep } from "node:timers/promises"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { KafkaPipe } from "../crash/KafkaPipe.ts"
import type { Acknowledged } from "../crash/KafkaProducer.ts"

const produceVersion = 9
const reconnectMs = 20

/** Sends batches of one record to partition 0 with acks=all, one after another and none twice, over restarts of the server. */
export class PlainProducer {
  readonly acknowledged: Array<Acknowledged> = []
  /** When the newest of those that are acknowledged was sent, as a date. */
  acknowledgedSentMs = 0
  readonly #port: number
  readonly #stream: string
  readonly #payloadOf: (n: number) => Buffer
  readonly #running: Promise<void>
  #isEnding = false

  constructor(port: number, stream: string, payloadOf: (n: number) => Buffer) {
    this.#port = port
    this.#stream = stream
    this.#payloadOf = payloadOf
    this.#running = this.#run()
  }

  async end(): Promise<void> {
    this.#isEnding = true
    await this.#running
  }

  async #run(): Promise<void> {
    let n = 0
    while (!this.#isEnding) {
      try {
        const pipe = await KafkaPipe.connect(this.#port)
        while (!this.#isEnding) await this.#send(pipe, n++)
        await pipe.end()
      } catch {
        // Nobody knows what became of a batch that was not answered.
        await sleep(reconnectMs)
      }
    }
  }

  async #send(pipe: KafkaPipe, n: number): Promise<void> {
    const id = `order-${n}`
    const sentMs = Date.now()
    const records = new RecordsBuilder(1024)
    records.append(Buffer.from(id), this.#payloadOf(n), noHeaders, sentMs)
    const fields = {
      baseOffset: 0,
      partitionLeaderEpoch: -1,
      count: 1,
      baseTimestampMs: sentMs,
      maxTimestampMs: sentMs
    }
    const partitionData = [{ index: 0, records: buildBatch(fields, records.bytes) }]
    const request = { acks: -1, timeoutMs: 10_000, topicData: [{ name: this.#stream, partitionData }] }
    await pipe.send(Produce, produceVersion, request, ({ responses }) => {
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
      if (errorCode !== 0) return
      this.acknowledged.push({ partition: 0, baseOffset: Number(baseOffset), ids: [id] })
      this.acknowledgedSentMs = sentMs
    })
    await pipe.answered()
  }
}
