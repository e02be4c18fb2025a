import type { Codec } from "@logbrook/core/Compression"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { DeleteRecords } from "@logbrook/protocols/kafka/messages/21_DeleteRecords"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import { type Case, every, type Family, single, type TopicToMake } from "../Case.ts"
import { batch, beganMs } from "../fixtures.ts"
import { fetchAsk } from "./fetch.ts"
import { listAsk } from "./listOffsets.ts"
import { produceAsk } from "./produce.ts"

// Topics whose settings have the server change or refuse what it stores. A record's bytes are compared as they decompress.

const produceVersion = 12
/** No id that a server gives in a run. */
const producerId = 500_000

const codecs: ReadonlyArray<Codec | "none"> = ["none", "gzip", "snappy", "lz4", "zstd"]

const topic = (name: string, ...configs: TopicToMake["configs"] & object): TopicToMake => ({
  name,
  partitions: 1,
  configs
})

const ofCompression = ["uncompressed", "gzip", "snappy", "lz4", "zstd", "producer"].map((type) =>
  topic(`compressed-${type}`, ["compression.type", type])
)
const appended = topic("appended", ["message.timestamp.type", "LogAppendTime"])
const appendedAndPacked = topic(
  "appended-and-packed",
  ["message.timestamp.type", "LogAppendTime"],
  ["compression.type", "gzip"],
  ["message.timestamp.before.max.ms", "1000"],
  ["message.timestamp.after.max.ms", "1000"]
)
const narrow = topic(
  "narrow",
  ["message.timestamp.before.max.ms", "3600000"],
  ["message.timestamp.after.max.ms", "1000"]
)
const unpacked = topic("small-unpacked", ["compression.type", "uncompressed"], ["max.message.bytes", "1000"])
const packed = topic("small-packed", ["compression.type", "gzip"], ["max.message.bytes", "1000"])
const replicas = topic("replicas", ["min.insync.replicas", "2"])
const kept = topic("kept", ["cleanup.policy", ""], ["retention.ms", "1"])
const usual = topic("usual")

/** Three records of an idempotent producer, compressed; `at`: its place among the producer's batches. */
const sent = (codec: Codec | "none", at: number, firstMs = beganMs): Uint8Array => {
  const values = ["a", "b", "c"].map((value) => value.repeat(100))
  return batch(values, { firstMs, producerId, producerEpoch: 0, baseSequence: at * values.length, codec })
}

const produced = (name: string, what: string, records: Uint8Array, acks = -1): Case =>
  single(Produce, produceVersion, `${what} to ${name}`, produceAsk(name, 0, records, acks))

const read = (name: string): ReadonlyArray<Case> => [
  ...every(Fetch, [4, 18], `of ${name}`, fetchAsk({ topic: name })),
  ...[-1, -3, beganMs, beganMs + 1, beganMs + 2].flatMap((timestamp) =>
    every(
      ListOffsets,
      [7, 11],
      `${timestamp < 0 ? timestamp : `time ${timestamp - beganMs}`} of ${name}`,
      listAsk(name, 0, timestamp)
    )
  ),
  single(DescribeProducers, 0, `of ${name}`, () => ({ topics: [{ name, partitionIndexes: [0] }] }))
]

const compressed = (): ReadonlyArray<Case> =>
  ofCompression.flatMap(({ name }) => [
    ...codecs.map((codec, at) => produced(name, codec, sent(codec, at))),
    produced(name, "a gap", sent("gzip", codecs.length + 1)),
    ...read(name)
  ])

const farAheadMs = beganMs + 10 * 3_600_000
const many = Array.from({ length: 50 }, () => "x".repeat(50))

const timed = (): ReadonlyArray<Case> =>
  [appended, appendedAndPacked].flatMap(({ name }) => [
    produced(name, "a batch", sent("none", 0)),
    produced(name, "times far ahead", sent("gzip", 1, farAheadMs)),
    produced(name, "times long ago", sent("lz4", 2, 1000)),
    produced(name, "a batch again", sent("none", 0)),
    ...read(name)
  ])

const topicSettings = (): ReadonlyArray<Case> => [
  ...compressed(),
  ...timed(),
  produced(narrow.name, "times within its bounds", sent("none", 0)),
  produced(narrow.name, "times far ahead", sent("none", 1, farAheadMs)),
  produced(narrow.name, "times long ago", sent("gzip", 1, beganMs - 3_600_000)),
  ...read(narrow.name),
  produced(unpacked.name, "what grows too large", batch(many, { codec: "gzip" })),
  produced(packed.name, "what would be small enough", batch(many)),
  ...read(unpacked.name),
  ...read(packed.name),
  produced(replicas.name, "acks all", sent("none", 0)),
  produced(replicas.name, "acks 1", sent("none", 1), 1),
  ...read(replicas.name),
  produced(kept.name, "a batch", sent("none", 0)),
  single(DeleteRecords, 2, `of ${kept.name}`, () => ({
    topics: [{ name: kept.name, partitions: [{ partitionIndex: 0, offset: 1 }] }],
    timeoutMs: 5000
  })),
  ...read(kept.name),
  produced(usual.name, "a batch", sent("none", 0)),
  produced(usual.name, "a batch again", sent("none", 0)),
  ...read(usual.name)
]

export const topicSettingsFamily: Family = {
  name: "topicSettings",
  topics: [...ofCompression, appended, appendedAndPacked, narrow, unpacked, packed, replicas, kept, usual],
  cases: topicSettings
}
