import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { AddOffsetsToTxn } from "@logbrook/protocols/kafka/messages/25_AddOffsetsToTxn"
import { TxnOffsetCommit } from "@logbrook/protocols/kafka/messages/28_TxnOffsetCommit"
import type { GroupModel } from "../GroupModel.ts"
import type { TransactorPlan } from "../Plan.ts"
import type { World } from "../World.ts"
import type { KafkaPeer } from "./KafkaPeer.ts"

export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

const timeoutMs = 10_000

/** The offsets that a producer commits in its transactions, each for the same partition of a group of its own. */
export class TransactedOffsets {
  readonly #world: World
  readonly #plan: TransactorPlan
  readonly #peer: KafkaPeer
  readonly groupId: string

  constructor(world: World, plan: TransactorPlan, peer: KafkaPeer) {
    this.#world = world
    this.#plan = plan
    this.#peer = peer
    this.groupId = `${plan.name}/copied`
  }

  get #group(): GroupModel | undefined {
    return this.#world.model.groups.get(this.groupId)
  }

  get #key(): string {
    return `${this.#world.model.streams.get(this.#plan.stream)!.topicId}/0`
  }

  get #durable(): number {
    return this.#group?.offsets.get(this.#key) ?? -1
  }

  /** `then` hears the error; undefined: there was no answer. */
  commit(producer: ProducerIdentity, offset: number, then: (code: number | undefined) => void): void {
    if (this.#plan.version === 2) return this.#commit(producer, offset, then)
    const request = { transactionalId: this.#plan.name, groupId: this.groupId, ...producer }
    this.#peer.request(AddOffsetsToTxn, 3, request, timeoutMs, (response) =>
      response?.errorCode === KafkaError.NONE ? this.#commit(producer, offset, then) : then(response?.errorCode)
    )
  }

  #commit(producer: ProducerIdentity, offset: number, then: (code: number | undefined) => void): void {
    const { name: transactionalId, stream, version } = this.#plan
    const completions = this.#group?.completions ?? 0
    const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: "" }]
    const request = { transactionalId, groupId: this.groupId, ...producer, topics: [{ name: stream, partitions }] }
    this.#peer.request(TxnOffsetCommit, version === 2 ? 5 : 3, request, timeoutMs, (response) => {
      const code = response?.topics[0]?.partitions[0]?.errorCode
      const isPending = this.#group?.pending.get(producer.producerId)?.get(this.#key) === offset
      // It may have timed out by now.
      const isOver = (this.#group?.completions ?? 0) > completions
      if (code === KafkaError.NONE && !isPending && !isOver) {
        this.#world.violated(`${offset} of ${this.groupId} is said to be pending, and is not durable`)
      }
      then(code)
    })
  }

  /** As a consumer that begins: an offset that a transaction may be about to change is not told. */
  fetchStable(then: () => void): void {
    const before = this.#durable
    const pendingBefore = this.#group?.pendingOffsetsOf(this.#key) ?? []
    const topics = [{ name: this.#plan.stream, partitionIndexes: [0] }]
    this.#peer.request(
      OffsetFetch,
      7,
      { groupId: this.groupId, topics, requireStable: true },
      timeoutMs,
      (response) => {
        const told = response?.topics[0]?.partitions[0]
        if (told !== undefined) this.#check(told.errorCode, told.committedOffset, before, pendingBefore)
        then()
      }
    )
  }

  #check(code: number, told: number, before: number, pendingBefore: ReadonlyArray<number>): void {
    const now = this.#durable
    const pendingNow = this.#group?.pendingOffsetsOf(this.#key) ?? []
    this.#world.trace(`${this.groupId} is told ${told} with ${code}, ${before} to ${now} are durable`)
    if (code === KafkaError.UNSTABLE_OFFSET_COMMIT) {
      if (pendingBefore.length + pendingNow.length === 0)
        this.#world.violated(`${this.groupId} is unstable for nothing`)
    } else if (code === KafkaError.NONE) {
      if (pendingBefore.some((offset) => pendingNow.includes(offset))) {
        this.#world.violated(`${this.groupId} is told ${told}, while ${pendingNow.join()} is pending`)
      }
      if (told < Math.min(before, now) || told > Math.max(before, now)) {
        this.#world.violated(`${this.groupId} is told ${told}, though ${before} was durable, and is ${now} now`)
      }
    }
  }

  /** `offsets`: those of the transactions that have committed, in their order. */
  check(offsets: ReadonlyArray<number>): void {
    const found = this.#group?.ofTransactions ?? []
    if (found.join() !== offsets.join()) {
      this.#world.violated(`transactions have committed ${found.join()} of ${this.groupId}, not ${offsets.join()}`)
    }
    for (const [producerId, pending] of this.#group?.pending ?? []) {
      if (pending.size > 0) this.#world.violated(`offsets of producer ${producerId} are pending in ${this.groupId}`)
    }
  }
}
