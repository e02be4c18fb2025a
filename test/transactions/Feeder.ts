import { setTimeout as sleep } from "node:timers/promises"
import type { Producer } from "kafkajs"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { openProducer, retryOverRestarts } from "../support/overRestarts.ts"

const records = 5
const pauseMs = 40

/** Writes what the copiers copy, in transactions of which it aborts some, over restarts of the server, until it is ended. */
export class Feeder {
  readonly counts = { committed: 0, aborted: 0, failed: 0 }
  readonly #brokers: string
  readonly #topic: string
  readonly #partitions: number
  readonly #random: () => number
  readonly #abortShare: number
  readonly #running: Promise<void>
  #isEnding = false

  constructor(brokers: string, topic: string, partitions: number, abortShare: number, random: () => number) {
    this.#brokers = brokers
    this.#topic = topic
    this.#partitions = partitions
    this.#abortShare = abortShare
    this.#random = random
    this.#running = this.#run()
  }

  /** Resolves when the transaction under way has ended. */
  async end(): Promise<void> {
    this.#isEnding = true
    await this.#running
  }

  #open(): Promise<Producer> {
    const kafka = kafkajsOf(this.#brokers, "feeder", retryOverRestarts)
    return openProducer(kafka, { transactionalId: "feeder", transactionTimeout: 20_000, maxInFlightRequests: 1 })
  }

  async #run(): Promise<void> {
    let producer = await this.#open()
    while (!this.#isEnding) {
      try {
        this.counts[await this.#write(producer)]++
      } catch {
        // What became of the transaction is nobody's matter: the input is what readers of committed records get.
        this.counts.failed++
        await producer.disconnect().catch(() => undefined)
        producer = await this.#open()
      }
      await sleep(pauseMs)
    }
    await producer.disconnect()
  }

  async #write(producer: Producer): Promise<"committed" | "aborted"> {
    const transaction = await producer.transaction()
    const messages = Array.from({ length: records }, () => ({
      value: "some",
      partition: Math.floor(this.#random() * this.#partitions)
    }))
    await transaction.send({ topic: this.#topic, messages })
    const isAborted = this.#random() < this.#abortShare
    await (isAborted ? transaction.abort() : transaction.commit())
    return isAborted ? "aborted" : "committed"
  }
}
