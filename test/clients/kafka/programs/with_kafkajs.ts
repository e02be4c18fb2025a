/** kafkajs, with the compressions of its plug-ins. */
import { createRequire } from "node:module"
import { promisify } from "node:util"
import * as zlib from "node:zlib"
import kafkajs, { type Consumer } from "kafkajs"
import { brokers, recordsOf, serve, type Words } from "./program.ts"

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs
const { version } = createRequire(import.meta.url)("kafkajs/package.json") as { version: string }

const zstd = { compress: promisify(zlib.zstdCompress), decompress: promisify(zlib.zstdDecompress) }
// kafkajs has gzip, and takes others from whoever has them. Node.js has zstd.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: (encoder: { readonly buffer: Buffer }) => zstd.compress(encoder.buffer),
  decompress: (bytes: Buffer) => zstd.decompress(bytes)
})

const kafka = new Kafka({ brokers: [brokers], clientId: "kafkajs", logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, zstd: CompressionTypes.ZSTD }

interface Member {
  readonly consumer: Consumer
  readonly seen: Array<string>
}
const members = new Map<string, Member>()

const produce = async ({ topic, codec, idempotent, ...words }: Words): Promise<void> => {
  const producer = kafka.producer({ idempotent: idempotent === "1" })
  await producer.connect()
  const compression = codecs[codec as keyof typeof codecs]
  await producer.send({ topic: topic!, messages: recordsOf(words), compression, acks: -1 })
  await producer.disconnect()
}

const transact = async ({ topic, id, end, ...words }: Words): Promise<void> => {
  const producer = kafka.producer({ transactionalId: id!, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  const transaction = await producer.transaction()
  await transaction.send({ topic: topic!, messages: recordsOf(words) })
  await (end === "commit" ? transaction.commit() : transaction.abort())
  await producer.disconnect()
}

const join = async ({ member, group, topic, pattern }: Words): Promise<void> => {
  const consumer = kafka.consumer({ groupId: group!, readUncommitted: false, heartbeatInterval: 500 })
  const seen: Array<string> = []
  members.set(member!, { consumer, seen })
  await consumer.connect()
  await consumer.subscribe({ topic: pattern === undefined ? topic! : new RegExp(pattern), fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message: { key, value, headers } }) => {
      seen.push(`${key!.toString()}/${value!.toString()}/${String(headers!["source"])}`)
    }
  })
}

const leave = async ({ member }: Words): Promise<void> => {
  // It commits what it has read when it stops.
  await members.get(member!)!.consumer.disconnect()
}

const settings = async (topic: string): Promise<ReadonlyArray<{ configName: string; configValue: string }>> => {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }]
  return (await admin.describeConfigs({ resources, includeSynonyms: false })).resources[0]!.configEntries
}

await admin.connect()
await serve(version, {
  metadata: async ({ topic }) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic!] })
    return { partitions: topics[0]!.partitions.length }
  },
  produce,
  transact,
  join,
  seen: async ({ member }) => ({ records: members.get(member!)!.seen.join(",") }),
  leave,
  create: async ({ topic, partitions }) => {
    await admin.createTopics({ topics: [{ topic: topic!, numPartitions: Number(partitions) }] })
  },
  alter: async ({ topic, name, value }) => {
    const configEntries = [{ name: name!, value: value! }]
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic!, configEntries }]
    await admin.alterConfigs({ validateOnly: false, resources })
  },
  describe: async ({ topic, name }) => {
    return { value: (await settings(topic!)).find(({ configName }) => configName === name)!.configValue }
  },
  delete: async ({ topic }) => {
    await admin.deleteTopics({ topics: [topic!] })
  },
  offset: async ({ topic, time }) => {
    return { offset: (await admin.fetchTopicOffsetsByTimestamp(topic!, Number(time)))[0]!.offset }
  }
})
