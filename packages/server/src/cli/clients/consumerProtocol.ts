import { CliError, exitCodes } from "../CliError.ts"
import type { TopicPartition } from "./KafkaClient.ts"

// Kafka's consumer protocol, version 0: what a member subscribes to, and what it is given (ConsumerProtocolSubscription and
// ConsumerProtocolAssignment of Kafka).

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const version0 = Buffer.alloc(2)
const noUserData = int32(-1)

export const encodeSubscription = (topics: ReadonlyArray<string>): Buffer =>
  Buffer.concat([version0, int32(topics.length), ...topics.map(text), noUserData])

export const encodeAssignment = (places: ReadonlyArray<TopicPartition>): Buffer => {
  const byTopic = Map.groupBy(places, ({ topic }) => topic)
  const topics = Array.from(byTopic, ([topic, own]) =>
    Buffer.concat([text(topic), int32(own.length), ...own.map(({ partition }) => int32(partition))])
  )
  return Buffer.concat([version0, int32(byTopic.size), ...topics, noUserData])
}

/** Reads from behind the version. Throws `RangeError` past the end. */
class ProtocolReader {
  readonly #bytes: Buffer
  #at = 2

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }

  text(): string {
    const length = this.#bytes.readInt16BE(this.#at)
    const start = this.#at + 2
    this.#at = start + length
    if (length < 0 || this.#at > this.#bytes.length) throw new RangeError("a text past the end")
    return this.#bytes.toString("utf8", start, this.#at)
  }
}

/** Members write these bytes, and the group hands them on unread. Throws `CliError` "E_CONSUMER_PROTOCOL" where they end too early. */
const decoded = <A>(what: string, bytes: Uint8Array, read: (reader: ProtocolReader) => A): A => {
  try {
    return read(new ProtocolReader(bytes))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const text = `a member of the group sends what is no ${what} of Kafka's consumer protocol`
    throw new CliError(exitCodes.failure, "E_CONSUMER_PROTOCOL", text)
  }
}

/** Throws `CliError`. */
export const decodeSubscription = (bytes: Uint8Array): ReadonlyArray<string> =>
  decoded("subscription", bytes, (reader) => {
    const topics: Array<string> = []
    for (let left = reader.int32(); left > 0; left--) topics.push(reader.text())
    return topics
  })

/** Bytes of no length are an assignment of nothing. Throws `CliError`. */
export const decodeAssignment = (bytes: Uint8Array): ReadonlyArray<TopicPartition> => {
  if (bytes.length === 0) return []
  return decoded("assignment", bytes, (reader) => {
    const places: Array<TopicPartition> = []
    for (let topics = reader.int32(); topics > 0; topics--) {
      const topic = reader.text()
      for (let left = reader.int32(); left > 0; left--) places.push({ topic, partition: reader.int32() })
    }
    return places
  })
}

export interface Subscriber {
  readonly memberId: string
  readonly topics: ReadonlyArray<string>
}

/** As Kafka's range assignor: the partitions of each topic in a row, to its subscribers by the order of their ids. */
export const assignRanges = (
  members: ReadonlyArray<Subscriber>,
  partitions: ReadonlyMap<string, number>
): ReadonlyMap<string, ReadonlyArray<TopicPartition>> => {
  const given = new Map<string, Array<TopicPartition>>(members.map(({ memberId }) => [memberId, []]))
  for (const [topic, count] of partitions) {
    const own = members
      .filter(({ topics }) => topics.includes(topic))
      .toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
    if (own.length === 0) continue
    const [each, more] = [Math.floor(count / own.length), count % own.length]
    let partition = 0
    own.forEach(({ memberId }, i) => {
      const end = partition + each + (i < more ? 1 : 0)
      for (; partition < end; partition++) given.get(memberId)!.push({ topic, partition })
    })
  }
  return given
}
