import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { KafkaClient } from "../load/KafkaClient.ts"
import { freePort, run, start, until } from "./processes.ts"

const benchVersion = "4.1.0"
const cacheOf = (version: string): string =>
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "logbrook-bench", `kafka-${version}`)
const pom = fileURLToPath(new URL("./kafka/pom.xml", import.meta.url))
const metadataVersion = 9
/** 16 bytes in base64url, which must not begin with a dash. */
const clusterId = Buffer.from("logbrook's bench").toString("base64url")
const installMsMax = 300_000
const readyMsMax = 60_000

/** What `kafka-server-start.sh` starts Java with. */
const javaOptions = [
  ..."-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35".split(" "),
  ..."-XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true".split(" ")
]

export interface Kafka {
  readonly pid: number
  readonly kafkaPort: number
  /** From the process's start to the first answer to a client. */
  readonly readyMs: number
  /** Ends it and removes what it has stored. */
  readonly stop: () => Promise<void>
}

/** One node that is broker and controller, as `config/server.properties` has it, but for ports, directory and copies. */
const properties = (
  directory: string,
  kafkaPort: number,
  controllerPort: number,
  more: ReadonlyArray<string>
): string =>
  [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${kafkaPort},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${kafkaPort}`,
    "controller.listener.names=CONTROLLER",
    `log.dirs=${join(directory, "data")}`,
    "num.network.threads=3",
    "num.io.threads=8",
    "socket.send.buffer.bytes=102400",
    "socket.receive.buffer.bytes=102400",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "share.coordinator.state.topic.replication.factor=1",
    "share.coordinator.state.topic.min.isr=1",
    ...more
  ].join("\n")

/** Apache Kafka's jars from Maven Central, once; undefined without Java or Maven, or when they cannot be had. */
const jars = async (version: string): Promise<string | undefined> => {
  const cache = cacheOf(version)
  const done = join(cache, ".done")
  if (existsSync(done)) return join(cache, "*")
  mkdirSync(cache, { recursive: true })
  const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${cache}`]
  const args = ["-q", "-B", "-f", pom, `-Dkafka.version=${version}`, ...goal]
  if ((await run("mvn", args, installMsMax)) !== 0) return undefined
  writeFileSync(done, "")
  return join(cache, "*")
}

/** `version`, by default `4.1.0`; undefined when it cannot run here. */
export const kafkaVersion = async (version = benchVersion): Promise<string | undefined> =>
  (await run("java", ["-version"], readyMsMax)) === 0 && (await jars(version)) !== undefined ? version : undefined

const isAnswering = async (port: number): Promise<boolean> => {
  const client = await KafkaClient.connect(port)
  try {
    await client.request(Metadata, metadataVersion, { topics: [] })
    return true
  } finally {
    client.close()
  }
}

export interface KafkaOptions {
  readonly version?: string
  /** Lines of `server.properties` behind those that are there. */
  readonly properties?: ReadonlyArray<string>
}

/** Only where `kafkaVersion` of the version is not undefined. */
export const startKafka = async (
  cpus: string,
  { version = benchVersion, properties: more = [] }: KafkaOptions = {}
): Promise<Kafka> => {
  const directory = mkdtempSync(join(tmpdir(), "bench-kafka-"))
  const kafkaPort = await freePort()
  const config = join(directory, "server.properties")
  writeFileSync(config, properties(directory, kafkaPort, await freePort(), more))
  const classes = ["-cp", (await jars(version))!]
  const format = ["kafka.tools.StorageTool", "format", "-t", clusterId, "-c", config]
  if ((await run("java", [...classes, ...format], readyMsMax)) !== 0) throw new Error("kafka: no storage was formatted")
  const began = performance.now()
  const started = start(cpus, "java", [...javaOptions, ...classes, "kafka.Kafka", config])
  await until("kafka is ready", readyMsMax, () => isAnswering(kafkaPort)).catch((error: Error) => {
    throw new Error(`${error.message}; ${started.said()}`)
  })
  const readyMs = performance.now() - began
  const stop = async () => {
    await started.stop()
    rmSync(directory, { recursive: true, force: true })
  }
  return { pid: started.pid, kafkaPort, readyMs, stop }
}
