import * as path from "node:path"
import type { Command } from "../../support/LineProgram.ts"

export interface Client extends Command {
  readonly name: string
  /** By feature, why the library cannot do it. */
  readonly lacks?: Readonly<Record<string, string>>
  /** What else is to be said of the library. */
  readonly notes?: ReadonlyArray<string>
}

const programs = path.join(import.meta.dirname, "programs")
const cache = path.join(import.meta.dirname, "../.cache")
const node = (file: string): Command => ({ command: process.execPath, args: [path.join(programs, file)] })
const python = (packages: string, file: string): Command => ({
  command: path.join(cache, "python", packages, "bin/python"),
  args: ["-B", path.join(programs, file)]
})
// Short programs on two cores: the second compiler and the parallel collector cost more than they save.
const jvm = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"]
const java = (jars: string): Command => ({
  command: "java",
  args: [...jvm, "-cp", `${path.join(cache, jars)}/*`, path.join(programs, "Program.java")]
})
/** Of those that `install.sh` builds. */
const built = (name: string): Command => ({ command: path.join(cache, "kafka", name), args: [] })

export const clients: ReadonlyArray<Client> = [
  { name: "Java", ...java("java") },
  { name: "Java", ...java("java-3.9") },
  { name: "confluent-kafka", ...python("confluent", "with_confluent.py") },
  { name: "confluent-kafka", ...python("confluent-2024", "with_confluent.py") },
  { name: "kafka-python", ...python("kafka-python", "with_kafka_python.py") },
  { name: "aiokafka", ...python("aiokafka", "with_aiokafka.py") },
  {
    name: "kafkajs",
    ...node("with_kafkajs.ts"),
    notes: ["it has gzip, and takes other compressions from an application: the test gives it the zstd of Node.js"],
    lacks: {
      snappy: "it takes it from a package beside it, which the test does not have",
      lz4: "it takes it from a package beside it, which the test does not have"
    }
  },
  {
    name: "@platformatic/kafka",
    ...node("with_platformatic.ts"),
    notes: [
      "each producer of a transactional id asks for producer 0 with epoch 0 where it has none (-1), so the server refuses the second one of an id with PRODUCER_FENCED"
    ],
    lacks: { "regular expressions": "it subscribes to names" }
  },
  {
    name: "franz-go",
    ...built("franz-go"),
    notes: [
      "its own tests of `kgo` run against the server as well (`test/clients/franzgo.test.ts`), but for TestConsumeRegex, which waits for the topic `__consumer_offsets`"
    ]
  },
  { name: "franz-go", ...built("franz-go-2024") },
  { name: "sarama", ...built("sarama"), lacks: { "regular expressions": "it subscribes to names" } },
  {
    name: "kafka-go",
    ...built("kafka-go"),
    lacks: {
      idempotence: "its writer has none",
      transactions: "it has their requests, and no producer over them",
      "regular expressions": "it subscribes to names"
    }
  },
  { name: "rdkafka for Rust", ...built("rdkafka") },
  {
    name: "kcat",
    ...node("with_kcat.ts"),
    notes: ["1.7.1 is its newest release; the test takes the distribution's, with librdkafka 2.0.2 of Debian 12"],
    lacks: { "create, alter, describe and delete topics": "it administers nothing" }
  }
]
