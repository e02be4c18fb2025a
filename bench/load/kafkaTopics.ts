import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { until } from "../servers/processes.ts"
import { KafkaClient } from "./KafkaClient.ts"

const createTopicsVersion = 5
const leadersMsMax = 10_000

/** Resolves once every partition has its leader, which comes later with Apache Kafka. Rejects with the server's error. */
export const createTopic = async (options: {
  readonly port: number
  readonly name: string
  readonly partitions: number
  readonly config: Readonly<Record<string, string>>
}): Promise<void> => {
  const client = await KafkaClient.connect(options.port)
  const { name, partitions: numPartitions } = options
  const configs = Object.entries(options.config).map(([key, value]) => ({ name: key, value }))
  const topic = { name, numPartitions, replicationFactor: 1, assignments: [], configs }
  const { topics } = await client.request(CreateTopics, createTopicsVersion, { topics: [topic] })
  const [created] = topics
  if (created?.errorCode !== 0) {
    throw new Error(`CreateTopics of ${name}: error ${created?.errorCode} ${created?.errorMessage ?? ""}`)
  }
  const isLed = (): Promise<boolean> => client.highWatermarks(name, numPartitions).then(() => true)
  await until(`leaders of ${name}`, leadersMsMax, isLed)
  client.close()
}
