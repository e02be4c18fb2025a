/** @platformatic/kafka. */
import { createRequire } from "node:module"
import * as path from "node:path"
import {
  Admin,
  ConfigResourceTypes,
  Consumer,
  FetchIsolationLevels,
  IncrementalAlterConfigOperationTypes,
  Producer,
  stringDeserializers,
  stringSerializers,
  type MessagesStream
} from "@platformatic/kafka"
import { brokers, recordsOf, serve, type Words } from "./program.ts"

const main = createRequire(import.meta.url).resolve("@platformatic/kafka")
const manifest = path.join(main, "../../package.json")
const { version } = createRequire(import.meta.url)(manifest) as { version: string }

const common = { clientId: "platformatic", bootstrapBrokers: [brokers] }
const admin = new Admin(common)

type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd"
interface Member {
  readonly consumer: Consumer<string, string, string, string>
  readonly stream: MessagesStream<string, string, string, string>
  readonly seen: Array<string>
  readonly places: Map<
    string,
    { readonly topic: string; readonly partition: number; readonly offset: bigint; readonly leaderEpoch: number }
  >
}
const members = new Map<string, Member>()

const messagesOf = ({ topic, ...words }: Words) => recordsOf(words).map((record) => ({ topic: topic!, ...record }))

const produce = async ({ codec, idempotent, ...words }: Words): Promise<void> => {
  const producer = new Producer({ ...common, serializers: stringSerializers, idempotent: idempotent === "1" })
  await producer.send({ messages: messagesOf(words), compression: codec as Codec })
  await producer.close()
}

const transactional = new Map<string, Producer<string, string, string, string>>()

/** One producer for each id: another of the same id is refused, see clients.ts. */
const transactionalProducer = (id: string): Producer<string, string, string, string> => {
  const options = { serializers: stringSerializers, idempotent: true, transactionalId: id }
  const producer = transactional.get(id) ?? new Producer({ ...common, ...options })
  transactional.set(id, producer)
  return producer
}

const transact = async ({ id, end, ...words }: Words): Promise<void> => {
  const transaction = await transactionalProducer(id!).beginTransaction()
  await transaction.send({ messages: messagesOf(words) })
  await (end === "commit" ? transaction.commit() : transaction.abort())
}

const join = async ({ member, group, topic }: Words): Promise<void> => {
  const consumer = new Consumer({
    ...common,
    groupId: group!,
    deserializers: stringDeserializers,
    heartbeatInterval: 500
  })
  const options = { mode: "committed", fallbackMode: "earliest", autocommit: false } as const
  const isolationLevel = FetchIsolationLevels.READ_COMMITTED
  const stream = await consumer.consume({ topics: [topic!], maxWaitTime: 100, isolationLevel, ...options })
  const own: Member = { consumer, stream, seen: [], places: new Map() }
  members.set(member!, own)
  stream.on("data", ({ topic, partition, offset, key, value, headers }) => {
    own.seen.push(`${key}/${value}/${headers.get("source")}`)
    own.places.set(`${topic}-${partition}`, { topic, partition, offset: offset + 1n, leaderEpoch: -1 })
  })
}

const leave = async ({ member }: Words): Promise<void> => {
  const { consumer, stream, places } = members.get(member!)!
  await consumer.commit({ offsets: [...places.values()] })
  await stream.close()
  await consumer.close(true)
}

const topicResource = (topic: string) => ({ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic })

await serve(version, {
  metadata: async ({ topic }) => {
    const { topics } = await admin.metadata({ topics: [topic!], forceUpdate: true })
    return { partitions: topics.get(topic!)!.partitionsCount }
  },
  produce,
  transact,
  join,
  seen: async ({ member }) => ({ records: members.get(member!)!.seen.join(",") }),
  leave,
  create: async ({ topic, partitions }) => {
    await admin.createTopics({ topics: [topic!], partitions: Number(partitions), replicas: 1 })
  },
  alter: async ({ topic, name, value }) => {
    const configs = [{ name: name!, value: value!, configOperation: IncrementalAlterConfigOperationTypes.SET }]
    await admin.incrementalAlterConfigs({ resources: [{ ...topicResource(topic!), configs }] })
  },
  describe: async ({ topic, name }) => {
    const resources = [{ ...topicResource(topic!), configurationKeys: [name!] }]
    const [described] = await admin.describeConfigs({ resources })
    return { value: described!.configs[0]!.value! }
  },
  delete: async ({ topic }) => {
    await admin.deleteTopics({ topics: [topic!] })
  },
  offset: async ({ topic, time }) => {
    const partitions = [{ partitionIndex: 0, timestamp: BigInt(time!) }]
    const [found] = await admin.listOffsets({ topics: [{ name: topic!, partitions }] })
    return { offset: String(found!.partitions[0]!.offset) }
  }
})
