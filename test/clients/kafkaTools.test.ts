import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kafkaTool } from "../support/java.ts"
import { kcatProduce } from "../support/kcat.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { outputOf } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"

const topics = "org.apache.kafka.tools.TopicCommand"
const offsets = "org.apache.kafka.tools.GetOffsetShell"
const groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"

describe("Kafka's tools and kcat as administrators", () => {
  let server: ServerProcess
  /** Its output. Fails if it does. */
  const tool = async (main: string, ...args: ReadonlyArray<string>): Promise<string> => {
    const { code, stdout, stderr } = await kafkaTool(main, ["--bootstrap-server", server.kafka, ...args])
    expect(code, `${main} ${args.join(" ")}: ${stderr}${stdout.toString("utf8")}`).toBe(0)
    return stdout.toString("utf8")
  }

  const offsetsAt = async (time: string): Promise<ReadonlyArray<readonly [string, number]>> => {
    const lines = (await tool(offsets, "--topic", "counted", "--time", time)).trim().split("\n")
    return lines.map((line) => {
      const [topic, partition, offset] = line.split(":") as [string, string, string]
      return [`${topic}:${partition}`, Number(offset)] as const
    })
  }

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream("bound", { filters: ["a/#"], partitions: 4 })
  })
  afterAll(() => server?.dispose())

  it("kcat -L: the node, its address, every stream with its partitions and leader", async () => {
    const found = JSON.parse((await outputOf("kcat", ["-L", "-J", "-b", server.kafka])).toString("utf8")) as {
      brokers: ReadonlyArray<{ id: number; name: string }>
      topics: ReadonlyArray<{ topic: string; partitions: ReadonlyArray<{ partition: number; leader: number }> }>
    }
    expect(found.brokers).toEqual([{ id: 1, name: server.kafka }])
    expect(found.topics.map(({ topic }) => topic)).toEqual(["bound"])
    expect(found.topics[0]!.partitions.map(({ partition, leader }) => [partition, leader])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1]
    ])
  })

  it("kafka-topics: create, list, refuse what is there, delete", async () => {
    await tool(
      topics,
      "--create",
      "--topic",
      "made",
      "--partitions",
      "3",
      "--replication-factor",
      "1",
      "--config",
      "retention.ms=3600000"
    )
    expect((await tool(topics, "--list")).trim().split("\n").toSorted()).toEqual(["bound", "made"])
    expect(await server.get(`/streams/made`)).toMatchObject({ kind: "free", partitions: 3, retentionMs: 3_600_000 })
    const again = await kafkaTool(topics, ["--bootstrap-server", server.kafka, "--create", "--topic", "made"])
    expect(again.code).toBe(1)
    expect(again.stdout.toString("utf8") + again.stderr).toContain('a stream named "made" exists')
    await tool(topics, "--delete", "--topic", "made")
    expect((await tool(topics, "--list")).trim()).toBe("bound")
  })

  it("kafka-get-offsets: latest, earliest, and by time", async () => {
    await server.createStream("counted", { partitions: 2 })
    const lines = Array.from({ length: 20 }, (_, n) => ({ key: Buffer.from(`k${n}`), value: Buffer.from("v") }))
    await kcatProduce(server.kafka, "counted", "none", lines)
    const latest = await offsetsAt("latest")
    expect(latest.map(([place]) => place)).toEqual(["counted:0", "counted:1"])
    expect(latest.reduce((sum, [, offset]) => sum + offset, 0)).toBe(20)
    expect(await offsetsAt("earliest")).toEqual([
      ["counted:0", 0],
      ["counted:1", 0]
    ])
    expect(await offsetsAt(String(Date.now() - 3_600_000))).toEqual([
      ["counted:0", 0],
      ["counted:1", 0]
    ])
  })

  it("kafka-consumer-groups: deletes offsets, then the group, and none that has members", async () => {
    for (const name of ["read", "unread"]) await server.createStream(name, { partitions: 2 })
    const kafka = kafkajsOf(server.kafka)
    const admin = kafka.admin()
    await admin.connect()
    const committed = async (topic: string) => {
      const [only] = await admin.fetchOffsets({ groupId: "billing", topics: [topic] })
      return only!.partitions.map(({ offset }) => offset)
    }
    const member = async (topic: string) => {
      const consumer = kafka.consumer({ groupId: "billing" })
      await consumer.connect()
      await consumer.subscribe({ topic })
      const joined = new Promise((resolve) => consumer.on("consumer.group_join", resolve))
      await consumer.run({ autoCommit: false, eachMessage: async () => undefined })
      await joined
      return consumer
    }
    const first = await member("read")
    await first.commitOffsets(
      ["read", "unread"].flatMap((topic) => [0, 1].map((partition) => ({ topic, partition, offset: "0" })))
    )
    await first.disconnect()
    await tool(groups, "--group", "billing", "--delete-offsets", "--topic", "unread:1")
    expect([await committed("read"), await committed("unread")]).toEqual([
      ["0", "0"],
      ["0", "-1"]
    ])
    await tool(groups, "--group", "billing", "--delete-offsets", "--topic", "unread")
    expect([await committed("read"), await committed("unread")]).toEqual([
      ["0", "0"],
      ["-1", "-1"]
    ])
    const second = await member("read")
    const refused = async (...args: ReadonlyArray<string>) => {
      const { stdout, stderr } = await kafkaTool(groups, [
        "--bootstrap-server",
        server.kafka,
        "--group",
        "billing",
        ...args
      ])
      return stdout.toString("utf8") + stderr
    }
    expect(await refused("--delete")).toContain("The group is not empty")
    expect(await refused("--delete-offsets", "--topic", "read")).toContain("subscribed to")
    await second.disconnect()
    expect(await tool(groups, "--group", "billing", "--delete")).toContain("was successful")
    expect(await refused("--delete")).toContain("The group id does not exist")
    expect((await server.get<{ data: ReadonlyArray<unknown> }>("/groups")).data).toEqual([])
    await admin.disconnect()
  })

  it("kafkajs admin: create, offsets, delete", async () => {
    const admin = kafkajsOf(server.kafka).admin()
    await admin.connect()
    expect(await admin.createTopics({ topics: [{ topic: "by-kafkajs", numPartitions: 2 }] })).toBe(true)
    expect(await admin.createTopics({ topics: [{ topic: "by-kafkajs", numPartitions: 2 }] })).toBe(false)
    expect((await admin.fetchTopicOffsets("by-kafkajs")).map(({ offset }) => offset)).toEqual(["0", "0"])
    await admin.deleteTopics({ topics: ["by-kafkajs"] })
    expect(await admin.listTopics()).not.toContain("by-kafkajs")
    await admin.disconnect()
  })
})
