import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import { offsetExpiryOf } from "../offsetExpiry.ts"
import type { SimpleConsumerPlan } from "../Plan.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 3000
const rounds = 12
const partitions = 2
const groupId = "simple"

/** Commits offsets outside of any generation, asks for them, and deletes the group now and then: then, or by time, they go. */
export class SimpleConsumer implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: SimpleConsumerPlan
  readonly #peer: KafkaPeer
  #rounds = 0
  #isOver = false

  constructor(world: World, plan: SimpleConsumerPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name)
  }

  start(): void {
    this.#later()
  }

  leave(): void {
    this.#isOver = true
    this.#peer.close()
  }

  waitsFor(): string | undefined {
    if (this.#rounds < rounds) return `${this.name} has done ${this.#rounds} rounds`
    const { slackMs, retentionMs } = offsetExpiryOf(this.#world.plan)
    const kept = this.#world.model.groups.get(groupId)?.offsets.size ?? 0
    // A clock that is set may put the end off for longer than a run takes.
    const isSoon = retentionMs + 2 * slackMs < this.#world.plan.restMs / 4
    return kept > 0 && isSoon ? `${kept} offsets of ${groupId} have not expired` : undefined
  }

  #later(): void {
    if (this.#isOver || this.#rounds >= rounds) return
    const roll = this.#peer.random.next()
    this.#world.scheduler.after(this.#peer.random.tail(20, this.#plan.everyMsMax) * 1000, () => {
      if (this.#isOver) return
      this.#rounds++
      if (roll < 0.45) this.#commit()
      else if (roll < 0.9) this.#fetch()
      else this.#delete()
    })
  }

  #key(partition: number): string {
    return `${this.#world.model.streams.get(this.#plan.stream)!.topicId}/${partition}`
  }

  /** As it is durable; -1: none. */
  #durable(partition: number): number {
    return this.#world.model.groups.get(groupId)?.offsets.get(this.#key(partition)) ?? -1
  }

  #commit(): void {
    const partitionIndex = this.#peer.random.between(0, partitions - 1)
    const partition = { partitionIndex, committedOffset: this.#rounds, committedMetadata: "" }
    const topics = [{ name: this.#plan.stream, partitions: [partition] }]
    const request = { groupId, generationIdOrMemberEpoch: -1, memberId: "", groupInstanceId: null, topics }
    this.#peer.request(OffsetCommit, 7, request, timeoutMs, (response) => {
      this.#world.trace(`${this.name} commits ${this.#rounds}: ${response?.topics[0]?.partitions[0]?.errorCode}`)
      this.#later()
    })
  }

  #fetch(): void {
    const partition = this.#peer.random.between(0, partitions - 1)
    const before = this.#durable(partition)
    const groups = [{ groupId, topics: [{ name: this.#plan.stream, partitionIndexes: [partition] }] }]
    this.#peer.request(OffsetFetch, 8, { groups }, timeoutMs, (response) => {
      const told = response?.groups[0]?.topics[0]?.partitions[0]?.committedOffset
      const now = this.#durable(partition)
      this.#world.trace(`${this.name} is told ${told}, ${before} to ${now} are durable`)
      if (told !== undefined && (told < Math.min(before, now) || told > Math.max(before, now))) {
        this.#world.violated(`${groupId} is told offset ${told}, though ${before} was durable, and is ${now} now`)
      }
      this.#later()
    })
  }

  #delete(): void {
    const before = this.#world.model.groups.get(groupId)?.deletions ?? 0
    this.#peer.request(DeleteGroups, 2, { groupsNames: [groupId] }, timeoutMs, (response) => {
      const code = response?.results[0]?.errorCode
      this.#world.trace(`${this.name} deletes ${groupId}: ${code}`)
      if (code === KafkaError.NONE && (this.#world.model.groups.get(groupId)?.deletions ?? 0) === before) {
        this.#world.violated(`${groupId} was said to be deleted before it was durable`)
      }
      if (code === KafkaError.NON_EMPTY_GROUP) this.#world.violated(`${groupId} is said to have members`)
      this.#later()
    })
  }
}
