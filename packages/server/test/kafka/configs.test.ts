import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { DescribeConfigs } from "@logbrook/protocols/kafka/messages/32_DescribeConfigs"
import { AlterConfigs } from "@logbrook/protocols/kafka/messages/33_AlterConfigs"
import { IncrementalAlterConfigs } from "@logbrook/protocols/kafka/messages/44_IncrementalAlterConfigs"
import { describe, expect, it } from "vitest"
import { batchOf, startKit, type Kit, type RawClient } from "./kit.ts"
import { aKitForEach } from "./aKitForEach.ts"
import { produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient

aKitForEach((started, connected) => {
  kit = started
  client = connected
})

const types = { topic: 2, broker: 4, logger: 8, metrics: 16, group: 32 }
const { INVALID_CONFIG, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION } = KafkaError

const describeOne = async (
  resourceType: number,
  resourceName: string,
  configurationKeys: ReadonlyArray<string> | null = null,
  version = 4,
  more: object = {}
) => {
  const resources = [{ resourceType, resourceName, configurationKeys }]
  const { results } = await client.send(DescribeConfigs, version, { resources, ...more })
  expect(results.map((each) => [each.resourceType, each.resourceName])).toEqual([[resourceType, resourceName]])
  return results[0]!
}

/** The topic keys of Kafka 4.1 (as `kafka-configs --describe --all` lists them), and ours. */
const topicKeys = [
  "cleanup.policy",
  "compression.gzip.level",
  "compression.lz4.level",
  "compression.type",
  "compression.zstd.level",
  "delete.retention.ms",
  "file.delete.delay.ms",
  "flush.messages",
  "flush.ms",
  "follower.replication.throttled.replicas",
  "index.interval.bytes",
  "leader.replication.throttled.replicas",
  "local.retention.bytes",
  "local.retention.ms",
  "max.compaction.lag.ms",
  "max.message.bytes",
  "message.timestamp.after.max.ms",
  "message.timestamp.before.max.ms",
  "message.timestamp.type",
  "min.cleanable.dirty.ratio",
  "min.compaction.lag.ms",
  "min.insync.replicas",
  "mqtt.headers",
  "preallocate",
  "remote.log.copy.disable",
  "remote.log.delete.on.disable",
  "remote.storage.enable",
  "retention.bytes",
  "retention.ms",
  "segment.bytes",
  "segment.index.bytes",
  "segment.jitter.ms",
  "segment.ms",
  "unclean.leader.election.enable"
]

describe("DescribeConfigs", () => {
  it("tells all of Kafka's keys of a topic, with values, types, sources and synonyms, in every version", async () => {
    await kit.createStream("t", { config: [["retention.bytes", "1000"]] })
    for (let version = 1; version <= 4; version++) {
      const { errorCode, configs } = await describeOne(types.topic, "t", null, version, { includeSynonyms: true })
      expect(errorCode).toBe(0)
      expect(configs.map(({ name }) => name).sort()).toEqual(topicKeys)
      const find = (name: string) => configs.find((each) => each.name === name)
      const rest = { readOnly: false, isSensitive: false, documentation: version < 3 ? "" : null }
      const typed = (configType: number) => ({ ...rest, configType: version < 3 ? 0 : configType })
      expect(find("retention.bytes")).toEqual({
        name: "retention.bytes",
        value: "1000",
        configSource: 1,
        synonyms: [
          { name: "retention.bytes", value: "1000", source: 1 },
          { name: "log.retention.bytes", value: "-1", source: 5 }
        ],
        ...typed(5)
      })
      expect(find("cleanup.policy")).toEqual({
        name: "cleanup.policy",
        value: "delete",
        configSource: 5,
        synonyms: [{ name: "log.cleanup.policy", value: "delete", source: 5 }],
        ...typed(7)
      })
      expect(find("max.message.bytes")).toMatchObject({ value: "1048588", ...typed(3) })
      expect(find("min.cleanable.dirty.ratio")).toMatchObject({ value: "0.5", ...typed(6) })
      expect(find("preallocate")).toMatchObject({ value: "false", ...typed(1) })
      expect(find("compression.type")).toMatchObject({ value: "producer", ...typed(2) })
    }
  })

  it("tells what is named alone, synonyms and documentation on demand", async () => {
    await kit.createStream("t")
    const { configs } = await describeOne(types.topic, "t", ["retention.ms", "no.such.key", "segment.ms"])
    expect(configs.map(({ name, synonyms, documentation }) => [name, synonyms, documentation])).toEqual([
      ["retention.ms", [], null],
      ["segment.ms", [], null]
    ])
    expect((await describeOne(types.topic, "t", [])).configs.length).toBe(topicKeys.length)
    const asked = await describeOne(types.topic, "t", ["retention.ms"], 4, { includeDocumentation: true })
    expect(asked.configs[0]!.documentation).toBe("Records older than this are expired; -1 keeps them for ever.")
  })

  it("ends the connection of who asks for more than 1000 resources", async () => {
    const resource = { resourceType: types.topic, resourceName: "t", configurationKeys: ["retention.ms"] }
    const { results } = await client.send(DescribeConfigs, 4, {
      resources: Array.from({ length: 1001 }, () => resource)
    })
    expect(results.length).toBe(1000)
    await client.closed()
  })

  it("tells limits that the operator has set from those that the server ships with", async () => {
    const own = await startKit({ limits: { fetchBytesMax: 1_234_567, recordBatchBytesMax: 500_000 } })
    const other = await own.connect()
    const resources = [{ resourceType: types.broker, resourceName: "1", configurationKeys: null }]
    const { configs } = (await other.send(DescribeConfigs, 4, { resources })).results[0]!
    const source = Object.fromEntries(configs.map(({ name, value, configSource }) => [name, [value, configSource]]))
    expect(source["fetch.max.bytes"]).toEqual(["1234567", 4])
    expect(source["message.max.bytes"]).toEqual(["500000", 4])
    expect(source["socket.request.max.bytes"]![1]).toBe(5)
    await own.close()
  })

  it("tells this node's settings, which are read-only", async () => {
    const { errorCode, configs } = await describeOne(types.broker, "1", null, 4, { includeSynonyms: true })
    expect(errorCode).toBe(0)
    expect(configs.every(({ readOnly }) => readOnly)).toBe(true)
    expect(new Set(configs.map(({ name }) => name)).size).toBe(configs.length)
    const values = Object.fromEntries(configs.map(({ name, value }) => [name, value]))
    expect(values).toMatchObject({
      "node.id": "1",
      "broker.id": "1",
      "advertised.listeners": `PLAINTEXT://127.0.0.1:${kit.listener.port}`,
      "auto.create.topics.enable": "false",
      "log.retention.ms": "604800000",
      "log.retention.hours": "168",
      "log.cleanup.policy": "delete",
      "message.max.bytes": "1048588",
      "offsets.retention.minutes": String(kit.broker.limits.groupOffsetsRetentionMs / 60_000)
    })
    expect(configs.find(({ name }) => name === "node.id")).toMatchObject({
      configSource: 4,
      configType: 3,
      synonyms: [{ name: "node.id", value: "1", source: 4 }]
    })
    expect(configs.find(({ name }) => name === "num.partitions")).toMatchObject({ configSource: 5 })
  })

  it("has nothing for loggers, client metrics, groups and the defaults of all nodes", async () => {
    const nothing: ReadonlyArray<readonly [number, string]> = [
      [types.logger, "1"],
      [types.metrics, "m"],
      [types.group, "g"],
      [types.broker, ""]
    ]
    for (const [type, name] of nothing)
      expect(await describeOne(type, name)).toMatchObject({ errorCode: 0, configs: [] })
  })

  it("refuses what is not there", async () => {
    const codes: ReadonlyArray<readonly [number, string, number]> = [
      [types.topic, "nowhere", UNKNOWN_TOPIC_OR_PARTITION],
      [types.topic, "__consumer_offsets", UNKNOWN_TOPIC_OR_PARTITION],
      [types.topic, "a/b", KafkaError.INVALID_TOPIC_EXCEPTION],
      [types.broker, "2", INVALID_REQUEST],
      [types.logger, "", INVALID_REQUEST],
      [types.group, "", INVALID_REQUEST],
      [3, "x", INVALID_REQUEST]
    ]
    for (const [type, name, code] of codes) {
      expect(await describeOne(type, name), `${type} ${name}`).toMatchObject({ errorCode: code, configs: [] })
    }
  })
})

const configOf = (name: string) => Object.fromEntries(kit.broker.directory.byName(name)!.config)
const operations = { set: 0, delete: 1, append: 2, subtract: 3 }

interface Change {
  readonly name: string
  readonly configOperation: number
  readonly value: string | null
}

const change = (configOperation: number, name: string, value: string | null): Change => ({
  name,
  configOperation,
  value
})

const alter = async (
  configs: ReadonlyArray<Change>,
  { resourceType = types.topic, resourceName = "t", validateOnly = false, version = 1 } = {}
) => {
  const resources = [{ resourceType, resourceName, configs }]
  const { responses } = await client.send(IncrementalAlterConfigs, version, { resources, validateOnly })
  expect(responses.map((each) => [each.resourceType, each.resourceName])).toEqual([[resourceType, resourceName]])
  return responses[0]!
}

const produced = async () => {
  const { responses } = await client.send(Produce, 11, produceOf("t", batchOf(["x".repeat(500)])))
  return responses[0]!.partitionResponses[0]!.errorCode
}

describe("IncrementalAlterConfigs", () => {
  const { set, append, subtract } = operations

  it("sets and takes back single settings, in every version", async () => {
    await kit.createStream("t", { config: [["retention.bytes", "1000"]] })
    for (let version = 0; version <= 1; version++) {
      expect((await alter([change(set, "retention.ms", `${version + 5}`)], { version })).errorCode).toBe(0)
      expect(configOf("t")).toEqual({ "retention.bytes": "1000", "retention.ms": `${version + 5}` })
    }
    const back = change(operations.delete, "retention.bytes", null)
    expect((await alter([back, change(set, "retention.ms", "9")])).errorCode).toBe(0)
    expect(configOf("t")).toEqual({ "retention.ms": "9" })
  })

  it("adds to a list and takes out of it", async () => {
    await kit.createStream("t")
    await alter([change(append, "cleanup.policy", "compact,delete")])
    expect(configOf("t")).toEqual({ "cleanup.policy": "delete,compact" })
    await alter([change(subtract, "cleanup.policy", "delete")])
    expect(configOf("t")).toEqual({ "cleanup.policy": "compact" })
    expect(await alter([change(append, "retention.ms", "1")])).toMatchObject({
      errorCode: INVALID_CONFIG,
      errorMessage: "Can't APPEND to key retention.ms because its type is not LIST."
    })
    expect((await alter([change(append, "no.such.key", "1")])).errorCode).toBe(INVALID_CONFIG)
  })

  it("holds at once: a smaller max.message.bytes refuses the next batch", async () => {
    await kit.createStream("t")
    expect(await produced()).toBe(0)
    await alter([change(set, "max.message.bytes", "200")])
    expect(await produced()).toBe(KafkaError.MESSAGE_TOO_LARGE)
  })

  it("asks for no more replicas than the one that there is, as Kafka does of a topic with one, and has nothing to throttle", async () => {
    await kit.createStream("t")
    const throttled = "leader.replication.throttled.replicas"
    expect((await alter([change(set, "min.insync.replicas", "2"), change(set, throttled, "0:1")])).errorCode).toBe(0)
    expect((await alter([change(append, throttled, "1:1")])).errorCode).toBe(0)
    expect(configOf("t")).toEqual({ "min.insync.replicas": "2", [throttled]: "0:1,1:1" })
    const { configs } = await describeOne(types.topic, "t", ["min.insync.replicas"])
    expect(configs[0]).toMatchObject({ value: "2", configSource: 1 })
    // With acks=all.
    expect(await produced()).toBe(0)
    expect((await alter([change(set, throttled, "*")])).errorCode).toBe(0)
  })

  it("changes nothing when it shall only validate", async () => {
    await kit.createStream("t")
    const { nextSeq } = kit.shard
    expect((await alter([change(set, "retention.ms", "7")], { validateOnly: true })).errorCode).toBe(0)
    const refused = await alter([change(set, "retention.ms", "-7")], { validateOnly: true })
    expect(refused.errorCode).toBe(INVALID_CONFIG)
    expect(kit.shard.nextSeq).toBe(nextSeq)
  })

  it("refuses what is not there, what is no value, and what it would have to ignore", async () => {
    await kit.createStream("t")
    const codes: ReadonlyArray<readonly [Change, number]> = [
      [change(set, "no.such.key", "1"), INVALID_CONFIG],
      [change(set, "retention.ms", "soon"), INVALID_CONFIG],
      [change(set, "message.timestamp.type", "Whenever"), INVALID_CONFIG],
      [change(set, "compression.type", "none"), INVALID_CONFIG],
      [change(set, "min.insync.replicas", "0"), INVALID_CONFIG],
      [change(set, "remote.storage.enable", "true"), INVALID_CONFIG],
      [change(set, "leader.replication.throttled.replicas", "0:1:2"), INVALID_CONFIG],
      [change(set, "retention.ms", null), INVALID_REQUEST],
      [change(9, "retention.ms", "1"), INVALID_REQUEST]
    ]
    for (const [each, code] of codes) {
      expect((await alter([each])).errorCode, `${each.configOperation} ${each.name}`).toBe(code)
    }
    const twice = [change(set, "retention.ms", "1"), change(append, "retention.ms", "1")]
    expect((await alter(twice)).errorCode).toBe(INVALID_REQUEST)
    const one = [change(set, "retention.ms", "1")]
    expect((await alter(one, { resourceName: "nowhere" })).errorCode).toBe(UNKNOWN_TOPIC_OR_PARTITION)
    expect((await alter(one, { resourceName: "a/b" })).errorCode).toBe(KafkaError.INVALID_TOPIC_EXCEPTION)
    expect((await alter(one, { resourceName: "" })).errorCode).toBe(INVALID_REQUEST)
    expect(configOf("t")).toEqual({})
  })

  it("takes nothing for nodes, loggers, client metrics and groups, which have their settings elsewhere", async () => {
    for (const [resourceType, resourceName] of [
      [types.broker, "1"],
      [types.broker, ""],
      [types.logger, "1"],
      [types.metrics, "m"],
      [types.group, "g"]
    ] as const) {
      const one = await alter([change(set, "log.retention.ms", "1")], { resourceType, resourceName })
      expect(one.errorCode, `${resourceType} ${resourceName}`).toBe(INVALID_CONFIG)
      expect((await alter([], { resourceType, resourceName })).errorCode).toBe(0)
      // As `kafka-reassign-partitions --verify` does: it takes back throttles that were never set.
      const back = change(operations.delete, "leader.replication.throttled.rate", null)
      expect((await alter([back], { resourceType, resourceName })).errorCode).toBe(0)
    }
    expect((await alter([], { resourceType: types.broker, resourceName: "2" })).errorCode).toBe(INVALID_REQUEST)
    expect((await alter([], { resourceType: 3 })).errorCode).toBe(INVALID_REQUEST)
  })

  it("answers for each resource by itself, and refuses one that is named twice", async () => {
    for (const name of ["t", "u"]) await kit.createStream(name)
    const configs = [change(set, "retention.ms", "5")]
    const names = ["t", "u", "nowhere", "u"]
    const resources = names.map((resourceName) => ({ resourceType: types.topic, resourceName, configs }))
    const { responses } = await client.send(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    expect(responses.map(({ resourceName, errorCode }) => [resourceName, errorCode])).toEqual([
      ["t", 0],
      ["u", INVALID_REQUEST],
      ["nowhere", UNKNOWN_TOPIC_OR_PARTITION],
      ["u", INVALID_REQUEST]
    ])
    expect([configOf("t"), configOf("u")]).toEqual([{ "retention.ms": "5" }, {}])
  })

  it("ends the connection of who alters more than 1000 resources", async () => {
    const resources = Array.from({ length: 1001 }, (_, i) => ({
      resourceType: types.topic,
      resourceName: `t${i}`,
      configs: []
    }))
    const { responses } = await client.send(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    expect(responses.length).toBe(1000)
    await client.closed()
  })
})

const replace = async (configs: ReadonlyArray<readonly [string, string | null]>, version = 2, validateOnly = false) => {
  const named = configs.map(([name, value]) => ({ name, value }))
  const resources = [{ resourceType: types.topic, resourceName: "t", configs: named }]
  const { responses } = await client.send(AlterConfigs, version, { resources, validateOnly })
  return responses[0]!.errorCode
}

describe("AlterConfigs", () => {
  it("takes back what it leaves out, in every version", async () => {
    await kit.createStream("t", { config: [["retention.bytes", "1000"]] })
    for (let version = 0; version <= 2; version++) {
      expect(await replace([["retention.ms", `${version}`]], version)).toBe(0)
      expect(configOf("t")).toEqual({ "retention.ms": `${version}` })
    }
    expect(await replace([], 2, true)).toBe(0)
    expect(configOf("t")).toEqual({ "retention.ms": "2" })
    expect(await replace([])).toBe(0)
    expect(configOf("t")).toEqual({})
  })

  it("refuses settings without a value, named twice, or that are none", async () => {
    await kit.createStream("t", { config: [["retention.bytes", "1000"]] })
    expect(await replace([["retention.ms", null]])).toBe(INVALID_REQUEST)
    expect(
      await replace([
        ["retention.ms", "1"],
        ["retention.ms", "2"]
      ])
    ).toBe(INVALID_REQUEST)
    expect(await replace([["no.such.key", "1"]])).toBe(INVALID_CONFIG)
    expect(configOf("t")).toEqual({ "retention.bytes": "1000" })
  })
})
