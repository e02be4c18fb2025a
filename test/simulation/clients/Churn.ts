import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { CreatePartitions } from "@logbrook/protocols/kafka/messages/37_CreatePartitions"
import { boundStreams, type ChurnPlan } from "../Plan.ts"
import { payloadOf } from "../payload.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 6000
/** So many that one request of small batches is more than a commit's frame holds. */
const partitions = 20
const wideBytes = 2500

/** Creates streams, writes to them and commits offsets of them while another connection deletes them. */
export class Churn implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: ChurnPlan
  readonly #peer: KafkaPeer
  readonly #deleter: KafkaPeer
  #rounds = 0
  #produced = 0
  #isOver = false

  constructor(world: World, plan: ChurnPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name)
    this.#deleter = new KafkaPeer(world, `${plan.name}/deleter`)
  }

  start(): void {
    this.#round()
  }

  waitsFor(): string | undefined {
    return this.#rounds >= this.#plan.streams * 3 ? undefined : `${this.name} has done ${this.#rounds} rounds`
  }

  leave(): void {
    this.#isOver = true
    this.#peer.close()
    this.#deleter.close()
  }

  #round(): void {
    if (this.#isOver || this.waitsFor() === undefined) return
    const stream = `churn-${this.#rounds % this.#plan.streams}`
    this.#rounds++
    const topic = { name: stream, numPartitions: partitions, replicationFactor: 1, assignments: [], configs: [] }
    this.#peer.request(CreateTopics, 7, { topics: [topic], timeoutMs, validateOnly: false }, timeoutMs, (response) => {
      const created = response?.topics[0]
      this.#world.trace(`${this.name} creates ${stream}: ${created?.errorCode}`)
      if (created?.errorCode === KafkaError.NONE && this.#world.model.streams.get(stream) === undefined) {
        if (!this.#world.model.wasTopic(created.topicId)) {
          this.#world.violated(`${stream} was said to be created before it was durable`)
        }
      }
    })
    this.#use(stream)
    this.#trespass()
    this.#world.scheduler.after(this.#peer.random.between(1, 2 * this.#plan.everyMs) * 1000, () => {
      if (this.#isOver) return
      this.#deleter.request(DeleteTopics, 4, { topicNames: [stream], timeoutMs }, timeoutMs, (response) => {
        this.#world.trace(`${this.name} deletes ${stream}: ${response?.responses[0]?.errorCode}`)
      })
      this.#world.scheduler.after(this.#plan.everyMs * 1000, () => this.#round())
    })
  }

  /** Behind the creation on the same connection; whether it still finds the stream is chance. */
  #use(stream: string): void {
    for (let i = this.#peer.random.between(1, 6); i > 0; i--) {
      this.#world.scheduler.after(this.#peer.random.between(1, 2 * this.#plan.everyMs) * 1000, () => {
        if (this.#isOver) return
        if (this.#peer.random.chance(0.5)) this.#produce(stream)
        else if (this.#peer.random.chance(0.3)) this.#grow(stream)
        else this.#commit(stream)
      })
    }
  }

  #grow(name: string): void {
    const count = partitions + this.#peer.random.between(1, 5)
    const topics = [{ name, count, assignments: null }]
    this.#peer.request(CreatePartitions, 3, { topics, timeoutMs, validateOnly: false }, timeoutMs, (response) => {
      this.#world.trace(`${this.name} adds partitions to ${name}: ${response?.results[0]?.errorCode}`)
    })
  }

  #produce(stream: string): void {
    const n = this.#produced++
    const isWide = this.#peer.random.chance(0.2)
    const partitionData = isWide
      ? Array.from({ length: partitions }, (_, index) => ({ index, records: this.#wideBatch() }))
      : [{ index: n % 2, records: batchOf(payloadOf(this.name, n, 100), null) }]
    const topicData = [{ name: stream, partitionData }]
    this.#peer.request(Produce, 7, { transactionalId: null, acks: -1, timeoutMs, topicData }, timeoutMs, (response) => {
      const code = response?.responses[0]?.partitionResponses[0]?.errorCode
      this.#world.trace(`${this.name} produces to ${stream}: ${code}`)
      if (code === KafkaError.NONE && !isWide && this.#world.model.placesOf(`${this.name}:${n}`).length !== 1) {
        this.#world.violated(`${this.name}:${n} was acknowledged and is not there once`)
      }
    })
  }

  /** What MQTT writes, nobody else does. */
  #trespass(): void {
    const name = boundStreams[this.#rounds % boundStreams.length]!
    const records = batchOf(payloadOf(`${this.name}-trespass`, this.#rounds, 10), null)
    const topicData = [{ name, partitionData: [{ index: 0, records }] }]
    this.#peer.request(Produce, 7, { transactionalId: null, acks: -1, timeoutMs, topicData }, timeoutMs, (response) => {
      const code = response?.responses[0]?.partitionResponses[0]?.errorCode
      this.#world.trace(`${this.name} produces to ${name}: ${code}`)
      if (code === KafkaError.NONE) this.#world.violated(`${this.name} has written to ${name}, which MQTT writes`)
    })
  }

  #wideBatch(): Uint8Array {
    return batchOf(payloadOf(`${this.name}-wide`, this.#produced++, 10), Buffer.alloc(wideBytes))
  }

  /** As a simple consumer, outside of any generation. */
  #commit(stream: string): void {
    const partition = { partitionIndex: 0, committedOffset: 0, committedMetadata: "" }
    const request = {
      groupId: "churn",
      generationIdOrMemberEpoch: -1,
      memberId: "",
      groupInstanceId: null,
      topics: [{ name: stream, partitions: [partition] }]
    }
    this.#peer.request(OffsetCommit, 7, request, timeoutMs, (response) => {
      this.#world.trace(`${this.name} commits ${stream}: ${response?.topics[0]?.partitions[0]?.errorCode}`)
    })
  }
}

const batchOf = (value: Uint8Array, key: Uint8Array | null): Uint8Array => {
  const builder = new RecordsBuilder(100_000)
  builder.append(key, value, noHeaders, 1)
  const header = { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, baseTimestampMs: 1, maxTimestampMs: 1 }
  return buildBatch(header, Buffer.from(builder.bytes))
}
