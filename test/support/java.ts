import { spawn, type ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { KafkaRecord } from "./kafkaRecord.ts"
import { outputOf, runCommand, type Finished } from "./runCommand.ts"

const clients = path.join(import.meta.dirname, "../clients")
const jars = path.join(clients, ".cache/java")
const classPath = `${jars}/*`
// Short programs on two cores: the second compiler and the parallel collector cost more than they save.
const jvm = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"]

/** Arguments for `java` that run a class of Kafka's own jars. */
export const javaArgs = (main: string, args: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (!fs.existsSync(jars)) throw new Error(`no jars in ${jars}: run test/clients/install.sh first`)
  return [...jvm, "-cp", classPath, main, ...args]
}

/** A tool of Kafka's, such as `org.apache.kafka.tools.TopicCommand`. */
export const kafkaTool = (main: string, args: ReadonlyArray<string>): Promise<Finished> =>
  runCommand("java", javaArgs(main, args))

export const consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"

const prefixed = (text: string, prefix: string): string => {
  if (!text.startsWith(prefix)) throw new Error(`the console consumer printed "${text}" where ${prefix}… was expected`)
  return text.slice(prefix.length)
}

const printed = (line: string): KafkaRecord => {
  const [time, partition, offset, headers, key, ...value] = line.split("\t") as [
    string,
    string,
    string,
    string,
    string,
    string
  ]
  const isLogAppendTime = time.startsWith("LogAppendTime:")
  return {
    partition: Number(prefixed(partition, "Partition:")),
    offset: Number(prefixed(offset, "Offset:")),
    timestampMs: Number(prefixed(time, isLogAppendTime ? "LogAppendTime:" : "CreateTime:")),
    key: key === "null" ? null : Buffer.from(key),
    value: Buffer.from(value.join("\t")),
    headers:
      headers === "NO_HEADERS"
        ? []
        : headers.split(",").map((header) => {
            const colon = header.indexOf(":")
            return [header.slice(0, colon), header.slice(colon + 1)] as const
          })
  }
}

/** The first `count` records of a stream as Java's console consumer prints them. They must be text without tabs, line feeds, commas. */
export const consoleConsumerRead = async (
  brokers: string,
  stream: string,
  count: number
): Promise<Array<KafkaRecord>> => {
  const print = ["timestamp", "partition", "offset", "headers", "key", "value"].flatMap((what) => [
    "--formatter-property",
    `print.${what}=true`
  ])
  const reading = ["--from-beginning", "--max-messages", String(count), "--timeout-ms", "30000"]
  const output = await outputOf(
    "java",
    javaArgs(consoleConsumer, ["--bootstrap-server", brokers, "--topic", stream, ...reading, ...print])
  )
  return output.toString("utf8").trimEnd().split("\n").map(printed)
}

/** A program of test/clients/java, run from its source. */
export const javaSource = (file: string, args: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...jvm,
  "-cp",
  classPath,
  path.join(clients, "java", file),
  ...args
]

const bytesOf = (text: string): Buffer | null => (text === "-" ? null : Buffer.from(text, "base64"))
const textOf = (bytes: Buffer | null): string => (bytes === null ? "-" : bytes.toString("base64"))

/** All committed records of a stream up to its last stable offset, byte for byte, by Java's consumer. */
export const javaRead = async (brokers: string, stream: string): Promise<Array<KafkaRecord>> => {
  const output = await outputOf("java", javaSource("ReadAll.java", [brokers, stream]))
  return output
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [partition, offset, timestampMs, key, value] = line.split(" ") as [string, string, string, string, string]
      return {
        partition: Number(partition),
        offset: Number(offset),
        timestampMs: Number(timestampMs),
        key: bytesOf(key),
        value: bytesOf(value),
        headers: undefined
      }
    })
}

/** By Java's idempotent producer. Resolves with what it says; its exit code is 1 after any error. */
export const javaProduce = (
  brokers: string,
  stream: string,
  compression: string,
  records: ReadonlyArray<{ readonly key: Buffer | null; readonly value: Buffer | null }>
): Promise<Finished> =>
  runCommand("java", javaSource("Produce.java", [brokers, stream, compression]), {
    input: records.map(({ key, value }) => `${textOf(key)} ${textOf(value)}\n`).join("")
  })

/** As `pythonCopy`. */
export const javaCopy = async (
  brokers: string,
  from: string,
  to: string,
  transactionalId: string,
  count: number
): Promise<string> => {
  const args = [brokers, from, to, transactionalId, String(count)]
  return (await outputOf("java", javaSource("CopyInTransactions.java", args))).toString("utf8").trim()
}

/** Java's consumer, which follows all partitions of these streams until it has `count` records: see `FollowMany.java`. */
export const javaFollowMany = (brokers: string, count: number, streams: ReadonlyArray<string>): ChildProcess =>
  spawn("java", javaSource("FollowMany.java", [brokers, String(count), ...streams]), {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 120_000,
    killSignal: "SIGKILL"
  })
