import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import { payloadOf } from "../payload.ts"
import type { TransactorPlan } from "../Plan.ts"
import type { Random } from "../Random.ts"
import type { World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"
import { type ProducerIdentity, TransactedOffsets } from "./TransactedOffsets.ts"

const timeoutMs = 5000
const timestampMs = 1_800_000_000_000
const transactionTimeoutMs = 60_000

/** An offset that no living producer commits. */
const wrongOffset = 1_000_000

/** A producer that was fenced and does not know it: whatever it asks is refused, and nothing of it is stored. */
export class Zombie {
  readonly #world: World
  readonly #plan: TransactorPlan
  readonly #peer: KafkaPeer
  readonly #random: Random
  readonly #offsets: TransactedOffsets
  readonly #name: string
  #records = 0

  constructor(world: World, plan: TransactorPlan) {
    this.#world = world
    this.#plan = plan
    this.#name = `${plan.name}/zombie`
    this.#peer = new KafkaPeer(world, this.#name)
    this.#random = world.random(`${this.#name}/load`)
    this.#offsets = new TransactedOffsets(world, plan, this.#peer)
  }

  leave(): void {
    this.#peer.close()
  }

  /** Asks for one thing as this producer, which is fenced by now. `sequences`: those that its partitions would take next. */
  haunt(producer: ProducerIdentity, sequences: ReadonlyMap<number, number>, then: () => void): void {
    const asks = [this.#produce, this.#addPartitions, this.#commitOffset, this.#end, this.#goOn] as const
    const ask = this.#random.pick(asks)
    ask(producer, sequences, (what, code) => {
      this.#world.trace(`${this.#name} of epoch ${producer.producerEpoch} asks to ${what}: ${code}`)
      if (code === KafkaError.NONE) this.#world.violated(`${this.#name}, which is fenced, may ${what}`)
      then()
    })
  }

  readonly #produce: Asks = (producer, sequences, told) => {
    const { name: transactionalId, stream, version, bytesMax } = this.#plan
    const builder = new RecordsBuilder(1024 * 1024)
    builder.append(null, payloadOf(this.#name, this.#records++, bytesMax), noHeaders, timestampMs)
    const times = { baseTimestampMs: builder.firstTimestampMs, maxTimestampMs: builder.maxTimestampMs }
    const index = this.#random.pick([0, 1])
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, ...times, ...producer, isTransactional: true }
    const baseSequence = sequences.get(index) ?? 0
    const records = buildBatch({ ...fields, baseSequence }, Buffer.from(builder.bytes))
    const topicData = [{ name: stream, partitionData: [{ index, records }] }]
    const request = { transactionalId, acks: -1, timeoutMs, topicData }
    this.#peer.request(Produce, version === 2 ? 12 : 9, request, timeoutMs, (response) =>
      told("produce", response?.responses[0]?.partitionResponses[0]?.errorCode)
    )
  }

  readonly #addPartitions: Asks = ({ producerId, producerEpoch }, _sequences, told) => {
    const request = {
      v3AndBelowTransactionalId: this.#plan.name,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: this.#plan.stream, partitions: [0] }]
    }
    this.#peer.request(AddPartitionsToTxn, 3, request, timeoutMs, (response) =>
      told("add a partition", response?.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode)
    )
  }

  readonly #commitOffset: Asks = (producer, _sequences, told) =>
    this.#offsets.commit(producer, wrongOffset, (code) => told("commit an offset", code))

  readonly #end: Asks = (producer, _sequences, told) => {
    const request = { transactionalId: this.#plan.name, ...producer, committed: true }
    this.#peer.request(EndTxn, this.#plan.version === 2 ? 5 : 3, request, timeoutMs, (response) =>
      told("commit", response?.errorCode)
    )
  }

  readonly #goOn: Asks = (producer, _sequences, told) => {
    const request = { transactionalId: this.#plan.name, transactionTimeoutMs, ...producer }
    this.#peer.request(InitProducerId, this.#plan.version === 2 ? 5 : 3, request, timeoutMs, (response) => {
      const isOther = response?.errorCode === KafkaError.NONE && response.producerId !== producer.producerId
      // An id at rest may have given way meanwhile: then whoever asks begins it anew, as another producer (KIP-360).
      if (isOther && this.#mayGiveWay) told("begin anew", undefined)
      else told("go on", response?.errorCode)
    })
  }

  get #mayGiveWay(): boolean {
    return this.#world.plan.clients.some(({ kind }) => kind === "newcomers")
  }

  check(): void {
    for (let n = 0; n < this.#records; n++) {
      const id = `${this.#name}:${n}`
      if (this.#world.model.placesIn(id, this.#plan.stream).length > 0) {
        this.#world.violated(`${id} is stored, and its producer was fenced`)
      }
    }
  }
}

type Asks = (
  producer: ProducerIdentity,
  sequences: ReadonlyMap<number, number>,
  told: (what: string, code: number | undefined) => void
) => void
