import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import type { Client, World } from "../World.ts"
import type { KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 8000
const fetchWaitMs = 5000
const retryMsMax = 500

/** What a fetch has told of a partition. */
export interface Followed {
  readonly partition: number
  readonly errorCode: number
  /** Where the next fetch begins, without an error. */
  readonly nextOffset: number
}

export interface Following {
  readonly stream: string
  /** As Kafka has it: 1 for what is committed only. */
  readonly isolationLevel: number
  /** Fetches all partitions from these offsets on and checks what comes; undefined: there was no answer. */
  readonly fetch: (
    positions: ReadonlyArray<number>,
    waitMs: number,
    onAnswer: (followed: ReadonlyArray<Followed> | undefined) => void
  ) => void
}

/** Follows all partitions of a stream from the first offset on, in no group. */
export class Follower implements Client {
  readonly #world: World
  readonly #peer: KafkaPeer
  readonly #following: Following
  readonly #positions: Array<number> = []
  #isOver = false

  constructor(world: World, peer: KafkaPeer, following: Following) {
    this.#world = world
    this.#peer = peer
    this.#following = following
  }

  get name(): string {
    return this.#peer.name
  }

  start(): void {
    const { logIds } = this.#world.model.streams.get(this.#following.stream)!
    this.#positions.push(...logIds.map(() => 0))
    this.#read()
  }

  waitsFor(): string | undefined {
    const { stream } = this.#following
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
    const waitMs = this.#peer.random.pick([0, fetchWaitMs, fetchWaitMs])
    this.#following.fetch(this.#positions, waitMs, (followed) => {
      if (followed === undefined) return this.#later(() => this.#read())
      let outOfRange = -1
      for (const { partition, errorCode, nextOffset } of followed) {
        if (errorCode === KafkaError.OFFSET_OUT_OF_RANGE) outOfRange = partition
        else if (errorCode === KafkaError.NONE) this.#positions[partition] = nextOffset
        else this.#world.trace(`${this.name} cannot read ${partition}: ${errorCode}`)
      }
      if (outOfRange >= 0) return this.#reset(outOfRange)
      return waitMs === 0 ? this.#later(() => this.#read()) : this.#read()
    })
  }

  #reset(partition: number): void {
    const { stream, isolationLevel } = this.#following
    const topics = [{ name: stream, partitions: [{ partitionIndex: partition, timestamp: -2 }] }]
    this.#peer.request(ListOffsets, 5, { replicaId: -1, isolationLevel, topics }, timeoutMs, (response) => {
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
