import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import type { AbandonerPlan } from "../Plan.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 6000
const retryMs = 500
const transactionTimeoutMs = 600_000
/** Longer than an idle actor is kept that has nothing to remember. */
const awayMs = 90_000
/** In each of them the server looks at some of its idle actors. */
const turnsBehind = 20

/**
 * Begins a transaction in a stream that is deleted then, and has it aborted when nothing of the stream is known any more. The model sees
 * that nothing is appended to a log that was deleted.
 */
export class Abandoner implements Client {
  readonly name: string
  readonly #world: World
  readonly #peer: KafkaPeer
  readonly #stream: string
  #isOver = false

  constructor(world: World, plan: AbandonerPlan) {
    this.name = plan.name
    this.#stream = plan.name
    this.#world = world
    this.#peer = new KafkaPeer(world, plan.name)
  }

  start(): void {
    this.#create()
  }

  waitsFor(): string | undefined {
    return this.#isOver ? undefined : `${this.name} has a transaction in a stream that is deleted`
  }

  leave(): void {
    this.#peer.close()
  }

  #after(delayMs: number, what: () => void): void {
    this.#world.scheduler.after(delayMs * 1000, what)
  }

  #create(): void {
    const topic = { name: this.#stream, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
    this.#peer.request(CreateTopics, 5, { topics: [topic], timeoutMs, validateOnly: false }, timeoutMs, (response) => {
      const code = response?.topics[0]?.errorCode
      if (code === KafkaError.NONE || code === KafkaError.TOPIC_ALREADY_EXISTS) return this.#begin()
      this.#after(retryMs, () => this.#create())
    })
  }

  /** Whatever was open under this id is aborted. */
  #init(transactionalId: string, then: (producerId: number, producerEpoch: number) => void): void {
    const request = { transactionalId, transactionTimeoutMs }
    this.#peer.request(InitProducerId, 3, request, timeoutMs, (response) => {
      if (response?.errorCode === KafkaError.NONE) return then(response.producerId, response.producerEpoch)
      this.#after(retryMs, () => this.#init(transactionalId, then))
    })
  }

  #begin(): void {
    this.#init(this.name, (v3AndBelowProducerId, v3AndBelowProducerEpoch) => {
      const request = {
        v3AndBelowTransactionalId: this.name,
        v3AndBelowProducerId,
        v3AndBelowProducerEpoch,
        v3AndBelowTopics: [{ name: this.#stream, partitions: [0] }]
      }
      this.#peer.request(AddPartitionsToTxn, 3, request, timeoutMs, (response) => {
        const code = response?.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode
        if (code === KafkaError.NONE) return this.#delete()
        this.#after(retryMs, () => this.#begin())
      })
    })
  }

  #delete(): void {
    this.#peer.request(DeleteTopics, 4, { topicNames: [this.#stream], timeoutMs }, timeoutMs, (response) => {
      const code = response?.responses[0]?.errorCode
      if (code !== KafkaError.NONE && code !== KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
        return this.#after(retryMs, () => this.#delete())
      this.#world.trace(`${this.name} has deleted its stream`)
      this.#after(awayMs, () => this.#turn(turnsBehind))
    })
  }

  #turn(left: number): void {
    if (left > 0) return this.#init(`${this.name}/other`, () => this.#turn(left - 1))
    this.#init(this.name, () => {
      this.#world.trace(`${this.name} has aborted its transaction`)
      this.#isOver = true
    })
  }
}
