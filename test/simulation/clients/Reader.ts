import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import type { ReaderPlan } from "../Plan.ts"
import type { Client, World } from "../World.ts"
import { zstdSoftware } from "../SimServer.ts"
import { fetch, KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 8000
const fetchWaitMs = 5000
const retryMsMax = 500

/** Follows all partitions of a stream from the first offset on, in no group. */
export class Reader implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: ReaderPlan
  readonly #peer: KafkaPeer
  readonly #positions: Array<number> = []
  #isOver = false

  constructor(world: World, plan: ReaderPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name, plan.readsZstd === true ? zstdSoftware : undefined)
  }

  start(): void {
    const { logIds } = this.#world.model.streams.get(this.#plan.stream)!
    this.#positions.push(...logIds.map(() => 0))
    this.#read()
  }

  waitsFor(): string | undefined {
    const { stream } = this.#plan
    for (const [partition, position] of this.#positions.entries()) {
      const end = this.#world.model.logOf(stream, partition)!.nextOffset
      if (position < end) return `${this.name} is at ${stream}/${partition}:${position} of ${end}`
    }
    return undefined
  }

  leave(): void {
    this.#isOver = true
    this.#peer.close()
  }

  #later(what: () => void): void {
    this.#world.scheduler.after(this.#peer.random.tail(5, retryMsMax) * 1000, what)
  }

  #read(): void {
    if (this.#isOver) return
    const { stream, version, bytesMax, usesSession = false } = this.#plan
    const asked = this.#positions.map((offset, partition) => ({ stream, partition, offset }))
    const waitMs = this.#peer.random.pick([0, fetchWaitMs, fetchWaitMs])
    fetch(this.#world, this.#peer, { version, waitMs, bytesMax, usesSession }, asked, (fetched) => {
      if (fetched === undefined) return this.#later(() => this.#read())
      let outOfRange = -1
      for (const { errorCode, asked: own, nextOffset } of fetched) {
        if (errorCode === KafkaError.OFFSET_OUT_OF_RANGE) outOfRange = own.partition
        else if (errorCode === KafkaError.NONE) this.#positions[own.partition] = nextOffset
        else this.#world.trace(`${this.name} cannot read ${own.partition}: ${errorCode}`)
      }
      if (outOfRange >= 0) return this.#reset(outOfRange)
      return waitMs === 0 ? this.#later(() => this.#read()) : this.#read()
    })
  }

  #reset(partition: number): void {
    const topics = [{ name: this.#plan.stream, partitions: [{ partitionIndex: partition, timestamp: -2 }] }]
    this.#peer.request(ListOffsets, 5, { replicaId: -1, topics }, timeoutMs, (response) => {
      const earliest = response?.topics[0]?.partitions[0]
      if (earliest?.errorCode !== KafkaError.NONE) return this.#later(() => this.#read())
      if (earliest.offset < this.#positions[partition]!) {
        this.#world.violated(
          `${this.name}: ${partition}:${this.#positions[partition]} is out of range, ${earliest.offset} is not`
        )
      }
      this.#positions[partition] = earliest.offset
      return this.#read()
    })
  }
}
