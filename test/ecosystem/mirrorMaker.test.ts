import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { ConfigResourceTypes, type Admin } from "kafkajs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kafkaVersion, startKafka, type Kafka } from "../../bench/servers/kafka.ts"
import { stopAll } from "../../bench/servers/processes.ts"
import { inOrder } from "../support/kafkaRecord.ts"
import { kcatProduce, kcatRead } from "../support/kcat.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { writeProperties } from "./ConnectWorker.ts"
import { EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"
import { publishRooms, rooms } from "./publishRooms.ts"

const version = "4.3.1"
const perRoom = 100
const total = perRoom * rooms.length
const partitions = 3
const waitMsMax = 180_000
const allCores = `0-${os.availableParallelism() - 1}`

/** `connect-mirror-maker.properties` of the distribution, but for how often it looks, and that groups follow, which is off by default. */
const mirrorBothWays = (kafka: string, logbrook: string): Readonly<Record<string, string>> => ({
  clusters: "kafka, logbrook",
  "kafka.bootstrap.servers": kafka,
  "logbrook.bootstrap.servers": logbrook,
  "kafka->logbrook.enabled": "true",
  "kafka->logbrook.topics": ".*",
  "logbrook->kafka.enabled": "true",
  "logbrook->kafka.topics": ".*",
  "replication.factor": "1",
  "checkpoints.topic.replication.factor": "1",
  "heartbeats.topic.replication.factor": "1",
  "offset-syncs.topic.replication.factor": "1",
  "offset.storage.replication.factor": "1",
  "status.storage.replication.factor": "1",
  "config.storage.replication.factor": "1",
  "refresh.topics.interval.seconds": "2",
  "refresh.groups.interval.seconds": "2",
  "sync.topic.configs.interval.seconds": "2",
  "sync.topic.acls.interval.seconds": "2",
  "emit.checkpoints.interval.seconds": "1",
  "sync.group.offsets.interval.seconds": "1",
  "sync.group.offsets.enabled": "true"
})

/** One of the two servers, with a topic of its own that the other one gets. */
interface Cluster {
  readonly name: "kafka" | "logbrook"
  readonly brokers: string
  readonly topic: string
  readonly admin: Admin
}

/** Every record of a topic: its place, key and value. */
const contentOf = async (brokers: string, topic: string) =>
  inOrder(await kcatRead(brokers, topic)).map(
    ({ partition, offset, key, value }) => `${partition}:${offset} ${String(key)} ${String(value)}`
  )

describe("MirrorMaker 2, both ways beside Apache Kafka", () => {
  let server: ServerProcess
  let peer: Kafka
  let mirror: EngineProcess
  let both: ReadonlyArray<readonly [from: Cluster, to: Cluster]> = []
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-mirror-"))

  const cluster = async (name: Cluster["name"], brokers: string, topic: string): Promise<Cluster> => {
    const admin = kafkajsOf(brokers).admin()
    await admin.connect()
    return { name, brokers, topic, admin }
  }

  const configOf = async ({ admin }: Cluster, topic: string, name: string): Promise<string | undefined> => {
    const asked = { type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }
    const { resources } = await admin.describeConfigs({ resources: [asked], includeSynonyms: false })
    return resources[0]?.configEntries[0]?.configValue
  }

  const setRetention = ({ admin, topic }: Cluster, retentionMs: string): Promise<unknown> =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        { type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: "retention.ms", value: retentionMs }] }
      ]
    })

  const offsetsOf = async ({ admin }: Cluster, groupId: string, topic: string): Promise<ReadonlyArray<number>> => {
    const [only] = await admin.fetchOffsets({ groupId, topics: [topic] })
    return only!.partitions
      .toSorted((one, other) => one.partition - other.partition)
      .map(({ offset }) => Number(offset))
  }

  const endsOf = async ({ admin, topic }: Cluster): Promise<ReadonlyArray<number>> => {
    const offsets = await admin.fetchTopicOffsets(topic)
    return offsets.toSorted((one, other) => one.partition - other.partition).map(({ high }) => Number(high))
  }

  /** The records that a member of the group gets, from where the group stands up to these ends. */
  const readOn = async ({ brokers }: Cluster, groupId: string, topic: string, ends: ReadonlyArray<number>) => {
    const consumer = kafkajsOf(brokers).consumer({ groupId })
    const seen: Array<{ readonly partition: number; readonly offset: number }> = []
    await consumer.connect()
    await consumer.subscribe({ topics: [topic] })
    await consumer.run({
      eachMessage: async ({ partition, message }) => void seen.push({ partition, offset: Number(message.offset) })
    })
    await waitUntil(`${topic} is read to its end`, waitMsMax, () =>
      ends.every((end, p) => seen.some(({ partition, offset }) => partition === p && offset === end - 1))
    )
    await consumer.disconnect()
    return seen
  }

  beforeAll(async () => {
    await prepare("connect")
    if ((await kafkaVersion(version)) === undefined) throw new Error(`Apache Kafka ${version} cannot be had`)
    server = await ServerProcess.start()
    peer = await startKafka(allCores, { version, properties: ["auto.create.topics.enable=false"] })
    const kafka = await cluster("kafka", `127.0.0.1:${peer.kafkaPort}`, "orders")
    const logbrook = await cluster("logbrook", server.kafka, "rooms")
    both = [
      [kafka, logbrook],
      [logbrook, kafka]
    ]
    await server.createStream("rooms", { filters: ["building/#"], partitions, config: { "retention.ms": "700000000" } })
    await publishRooms(server.mqttUrl, "building", 0, perRoom)
    const configEntries = [{ name: "retention.ms", value: "800000000" }]
    await kafka.admin.createTopics({ topics: [{ topic: "orders", numPartitions: partitions, configEntries }] })
    const orders = Array.from({ length: total }, (_, n) => ({ key: Buffer.from(`k${n}`), value: Buffer.from(`v${n}`) }))
    await kcatProduce(kafka.brokers, "orders", "none", orders)
    const file = path.join(directory, "mirror.properties")
    writeProperties(file, mirrorBothWays(kafka.brokers, logbrook.brokers))
    mirror = EngineProcess.java("connect", "org.apache.kafka.connect.mirror.MirrorMaker", [file])
  })
  afterAll(async () => {
    await Promise.all(both.map(([{ admin }]) => admin.disconnect()))
    await EngineProcess.stopAll()
    await peer?.stop()
    await stopAll()
    fs.rmSync(directory, { recursive: true, force: true })
    await server?.dispose()
  })

  it("every record is in the other cluster, in its partition and at its place", async () => {
    for (const [from, to] of both) {
      const copy = `${from.name}.${from.topic}`
      await mirror.until(`${copy} is whole`, waitMsMax, async () => {
        if (!(await to.admin.listTopics()).includes(copy)) return false
        return (await kcatRead(to.brokers, copy)).length >= total
      })
      const original = await contentOf(from.brokers, from.topic)
      expect(original).toHaveLength(total)
      expect(await contentOf(to.brokers, copy)).toEqual(original)
    }
    await expectNoViolations(server)
  })

  it("a topic's settings follow, also when they change", async () => {
    for (const [from, to] of both) {
      const copy = `${from.name}.${from.topic}`
      const retention = await configOf(from, from.topic, "retention.ms")
      expect(retention).toMatch(/^[78]00000000$/)
      expect(await configOf(to, copy, "retention.ms")).toBe(retention)
      await setRetention(from, "900000000")
      await mirror.until(`the settings of ${copy} follow`, waitMsMax, async () => {
        return (await configOf(to, copy, "retention.ms")) === "900000000"
      })
    }
    await expectNoViolations(server)
  })

  it("a group goes on in the other cluster, from translated offsets, and misses nothing", async () => {
    for (const [from, to] of both) {
      const copy = `${from.name}.${from.topic}`
      const groupId = `billing-${from.name}`
      const ends = await endsOf(from)
      const half = ends.map((end) => Math.floor(end / 2))
      const committed = half.map((offset, partition) => ({ partition, offset: String(offset) }))
      await from.admin.setOffsets({ groupId, topic: from.topic, partitions: committed })
      await mirror.until(`${groupId} is translated`, waitMsMax, async () =>
        (await offsetsOf(to, groupId, copy)).every((offset) => offset > 0)
      )
      const seen = await readOn(to, groupId, copy, ends)
      for (const [partition, committed] of half.entries()) {
        const offsets = seen.filter((each) => each.partition === partition).map(({ offset }) => offset)
        // A copy has the offsets of its original. A translation may lie before what was read, so that some is read again.
        expect(offsets[0]).toBeGreaterThan(0)
        expect(offsets[0]).toBeLessThanOrEqual(committed)
        expect(offsets).toEqual(Array.from({ length: ends[partition]! - offsets[0]! }, (_, n) => offsets[0]! + n))
      }
    }
    await expectNoViolations(server)
    expect(mirror.said()).not.toMatch(/ ERROR /)
  })
})
