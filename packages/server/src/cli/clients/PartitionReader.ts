import { setTimeout as sleep } from "node:timers/promises"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { At } from "../../tools/point.ts"
import { CliError, exitCodes } from "../CliError.ts"
import type { ShownRecord } from "../ShownRecord.ts"
import { CommittedRecords } from "./fetchedRecords.ts"
import type { KafkaConnection } from "./KafkaConnection.ts"
import { type KafkaClient, logEnd, logStart, nameOf, type TopicPartition } from "./KafkaClient.ts"
import { kafkaError, throwUnlessNone } from "./kafkaErrors.ts"

const fetchVersion = 11
const partitionBytesMax = 1_048_576
const fetchBytesMax = 16 * 1024 * 1024
/** So long the server waits for records that are still to come. */
const waitMs = 500

export interface Reading {
  readonly from: "earliest" | "latest" | At
  /** The end that there is now, or before; undefined: there is none. */
  readonly until: "now" | At | undefined
  readonly note: (text: string) => void
}

/** Records of a partition, in order. `taken` is told how many of them, from the first on, count as read. */
export interface Fetched {
  readonly records: ReadonlyArray<ShownRecord>
  readonly taken: (count: number) => void
}

interface Cursor extends TopicPartition {
  /** The next offset to fetch. */
  position: number
  /** The first offset that is not wanted; Infinity: all are. */
  end: number
}

/** Reads partitions from offset to offset, what was committed of them. */
export class PartitionReader {
  readonly #client: KafkaClient
  readonly #reading: Reading
  #cursors: ReadonlyArray<Cursor> = []

  constructor(client: KafkaClient, reading: Reading) {
    this.#client = client
    this.#reading = reading
  }

  /** `partitions`: those that are read of each topic; undefined: all. */
  async begin(topics: ReadonlyArray<string>, partitions: ReadonlyArray<number> | undefined): Promise<void> {
    const places: Array<TopicPartition> = []
    for (const topic of topics) {
      const count = await this.#client.partitionsOf(topic)
      const missing = partitions?.find((partition) => partition >= count)
      if (missing !== undefined) {
        const what = `${topic} has partitions 0 to ${count - 1}, not ${missing}`
        throw new CliError(exitCodes.notFound, "E_UNKNOWN_TOPIC_OR_PARTITION", what)
      }
      for (const partition of partitions ?? Array(count).keys()) places.push({ topic, partition })
    }
    await this.assign(places, new Map())
  }

  /** Reads these from now on: from the offsets in `positions` by name, else from where reading begins. */
  async assign(places: ReadonlyArray<TopicPartition>, positions: ReadonlyMap<string, number>): Promise<void> {
    const [starts, ends] = [await this.#at(places, logStart), await this.#at(places, logEnd)]
    const from = await this.#bound(places, this.#reading.from, starts, ends)
    const { until } = this.#reading
    const end = until === undefined ? undefined : await this.#bound(places, until, starts, ends)
    this.#cursors = places.map((place, i) => {
      const position = positions.get(nameOf(place)) ?? from[i]!
      if (position < starts[i]!) this.#tellGone(place, position, starts[i]!)
      return {
        ...place,
        position: Math.max(position, starts[i]!),
        end: end === undefined ? Infinity : Math.min(end[i]!, ends[i]!)
      }
    })
  }

  /** The next offset of each partition. */
  get positions(): ReadonlyArray<TopicPartition & { readonly offset: number }> {
    return this.#cursors.map(({ topic, partition, position }) => ({ topic, partition, offset: position }))
  }

  /** Records as they come, of one partition after the other; none after a while. Undefined: all was read. */
  async next(): Promise<ReadonlyArray<Fetched> | undefined> {
    const open = this.#cursors.filter(({ position, end }) => position < end)
    if (open.length === 0 && this.#reading.until !== undefined) return undefined
    // Others of the group have them all.
    if (open.length === 0) await sleep(waitMs)
    const byLeader = new Map<KafkaConnection, Array<Cursor>>()
    for (const cursor of open) {
      const leader = await this.#client.leaderOf(cursor)
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), cursor])
    }
    return (await Promise.all(Array.from(byLeader, ([leader, cursors]) => this.#fetch(leader, cursors)))).flat()
  }

  async #fetch(leader: KafkaConnection, cursors: ReadonlyArray<Cursor>): Promise<ReadonlyArray<Fetched>> {
    const byTopic = Map.groupBy(cursors, ({ topic }) => topic)
    const topics = Array.from(byTopic, ([topic, own]) => ({
      topic,
      partitions: own.map(({ partition, position }) => ({
        partition,
        fetchOffset: position,
        partitionMaxBytes: partitionBytesMax
      }))
    }))
    const asked = { maxWaitMs: waitMs, minBytes: 1, maxBytes: fetchBytesMax, isolationLevel: 1, topics }
    const { errorCode, responses } = await leader.request(Fetch, fetchVersion, asked, waitMs)
    throwUnlessNone("fetch", errorCode)
    const fetched: Array<Fetched> = []
    for (const { topic, partitions } of responses) {
      for (const answer of partitions) {
        const cursor = cursors.find((each) => each.topic === topic && each.partition === answer.partitionIndex)
        if (cursor === undefined) continue
        if (answer.errorCode === KafkaError.OFFSET_OUT_OF_RANGE) await this.#goOn(cursor)
        else throwUnlessNone(nameOf(cursor), answer.errorCode)
        if (answer.errorCode === KafkaError.NONE && answer.records !== null) {
          fetched.push(this.#read(cursor, answer.records, answer.abortedTransactions ?? []))
        }
      }
    }
    return fetched
  }

  #read(cursor: Cursor, bytes: Uint8Array, aborted: ConstructorParameters<typeof CommittedRecords>[2]): Fetched {
    const reader = new CommittedRecords(cursor, cursor.position, aborted)
    const records = reader.read(bytes).filter(({ offset }) => offset! < cursor.end)
    const next = reader.position
    const taken = (count: number): void => {
      cursor.position = count === records.length ? next : records[count]!.offset!
    }
    return { records, taken }
  }

  /** Retention took what was to be read. */
  async #goOn(cursor: Cursor): Promise<void> {
    const [start] = await this.#at([cursor], logStart)
    if (start! <= cursor.position) throw kafkaError(nameOf(cursor), KafkaError.OFFSET_OUT_OF_RANGE)
    this.#tellGone(cursor, cursor.position, start!)
    cursor.position = start!
  }

  #tellGone(place: TopicPartition, from: number, start: number): void {
    this.#reading.note(`${nameOf(place)}: what was from offset ${from} on is gone, it begins at ${start}`)
  }

  #at(places: ReadonlyArray<TopicPartition>, timestamp: number): Promise<ReadonlyArray<number>> {
    return this.#client.offsetsFor(places, timestamp)
  }

  async #bound(
    places: ReadonlyArray<TopicPartition>,
    bound: "earliest" | "latest" | "now" | At,
    starts: ReadonlyArray<number>,
    ends: ReadonlyArray<number>
  ): Promise<ReadonlyArray<number>> {
    if (bound === "earliest") return starts
    if (bound === "latest" || bound === "now") return ends
    if ("timeMs" in bound) {
      const found = await this.#at(places, Math.max(0, bound.timeMs))
      return found.map((offset, i) => (offset < 0 ? ends[i]! : offset))
    }
    return places.map(() => bound.seq)
  }
}
