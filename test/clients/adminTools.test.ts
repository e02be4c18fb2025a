import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kafkaTool } from "../support/java.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { pythonAdmin, type PythonClient } from "../support/python.ts"
import { ServerProcess } from "../support/server.ts"

const tools = {
  topics: "org.apache.kafka.tools.TopicCommand",
  groups: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  logDirs: "org.apache.kafka.tools.LogDirsCommand",
  election: "org.apache.kafka.tools.LeaderElectionCommand",
  reassign: "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
  transactions: "org.apache.kafka.tools.TransactionsCommand",
  quorum: "org.apache.kafka.tools.MetadataQuorumCommand"
}

const pythonClients: ReadonlyArray<readonly [string, PythonClient]> = [
  ["confluent-kafka", { packages: "confluent", program: "confluent.py" }],
  ["aiokafka", { packages: "aiokafka", program: "aio.py" }]
]

describe("administrators' tools", () => {
  let server: ServerProcess
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-admin-"))

  const run = async (tool: keyof typeof tools, ...args: ReadonlyArray<string>) => {
    const { code, stdout, stderr } = await kafkaTool(tools[tool], ["--bootstrap-server", server.kafka, ...args])
    return { code, text: stdout.toString("utf8") + stderr }
  }

  /** Its output. Fails if the tool does. */
  const ok = async (tool: keyof typeof tools, ...args: ReadonlyArray<string>): Promise<string> => {
    const { code, text } = await run(tool, ...args)
    expect(code, `${tool} ${args.join(" ")}: ${text}`).toBe(0)
    return text
  }

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream("orders", { partitions: 2, config: { "retention.ms": "3600000" } })
  })
  afterAll(async () => {
    fs.rmSync(directory, { recursive: true })
    await server?.dispose()
  })

  it("kafka-topics: describes a topic with its settings, and adds partitions", async () => {
    const described = await ok("topics", "--describe", "--topic", "orders")
    expect(described).toContain("PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=3600000")
    expect(described).toContain("Partition: 1\tLeader: 1\tReplicas: 1\tIsr: 1")
    await ok("topics", "--alter", "--topic", "orders", "--partitions", "3")
    expect(await ok("topics", "--describe", "--topic", "orders")).toContain("PartitionCount: 3")
    const fewer = await run("topics", "--alter", "--topic", "orders", "--partitions", "2")
    expect([fewer.code, fewer.text]).toEqual([1, expect.stringContaining("the stream has 3 partitions")])
  })

  it("kafka-consumer-groups: sets offsets, lists, describes and deletes a group", async () => {
    await ok("groups", "--group", "g", "--topic", "orders", "--reset-offsets", "--to-earliest", "--execute")
    expect(await ok("groups", "--list", "--state")).toMatch(/^g +Empty/m)
    expect(await ok("groups", "--describe", "--group", "g")).toMatch(/^g +orders +0 +0 +0 +0 /m)
    await ok("groups", "--delete", "--group", "g")
    expect(await ok("groups", "--list")).not.toMatch(/^g$/m)
  })

  it("kafka-log-dirs, kafka-leader-election, kafka-reassign-partitions, kafka-transactions, kafka-metadata-quorum", async () => {
    expect(await ok("logDirs", "--describe", "--topic-list", "orders")).toContain('"partition":"orders-0"')
    const elected = await ok("election", "--election-type", "preferred", "--topic", "orders", "--partition", "0")
    expect(elected).toContain("Valid replica already elected")
    expect(await ok("reassign", "--list")).toContain("No partition reassignments found.")
    const plan = path.join(directory, "plan.json")
    fs.writeFileSync(
      plan,
      JSON.stringify({ version: 1, partitions: [{ topic: "orders", partition: 0, replicas: [1] }] })
    )
    await ok("reassign", "--execute", "--reassignment-json-file", plan)
    const verified = await ok("reassign", "--verify", "--reassignment-json-file", plan)
    expect(verified).toContain("Reassignment of partition orders-0 is completed.")
    await ok("transactions", "describe-producers", "--topic", "orders", "--partition", "0")
    expect(await ok("quorum", "describe", "--status")).toMatch(/LeaderId: +1/)
  })

  it("kafka-transactions: finds a transaction by its first offset, and aborts it in its partition", async () => {
    await server.createStream("hanging")
    const producer = kafkajsOf(server.kafka).producer({
      transactionalId: "hangs",
      maxInFlightRequests: 1,
      idempotent: true
    })
    await producer.connect()
    const transaction = await producer.transaction()
    await transaction.send({ topic: "hanging", messages: [{ key: "k", value: "v" }] })
    const at = ["--topic", "hanging", "--partition", "0"]
    const first = async () =>
      (await ok("transactions", "describe-producers", ...at)).trim().split("\n")[1]!.split(/\s+/).at(-1)
    expect(await first()).toBe("0")
    await ok("transactions", "abort", ...at, "--start-offset", "0")
    expect(await first()).toBe("None")
    const again = await run("transactions", "abort", ...at, "--start-offset", "0")
    expect([again.code, again.text]).toEqual([1, expect.stringContaining("Could not find any open transactions")])
    await producer.disconnect()
  })

  it("kafkajs: partitions, settings, the cluster, groups, reassignments", async () => {
    await server.createStream("of-kafkajs")
    const admin = kafkajsOf(server.kafka).admin()
    await admin.connect()
    await admin.createPartitions({ topicPartitions: [{ topic: "of-kafkajs", count: 3 }] })
    const { topics } = await admin.fetchTopicMetadata({ topics: ["of-kafkajs"] })
    expect(topics[0]!.partitions.length).toBe(3)
    const configEntries = [{ name: "retention.ms", value: "5000" }]
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: "of-kafkajs", configEntries }] })
    const configNames = ["retention.ms"]
    const { resources } = await admin.describeConfigs({
      includeSynonyms: true,
      resources: [{ type: 2, name: "of-kafkajs", configNames }]
    })
    const entries = resources[0]!.configEntries
    expect(entries.map(({ configName, configValue }) => [configName, configValue])).toEqual([["retention.ms", "5000"]])
    expect(await admin.describeCluster()).toMatchObject({ controller: 1, brokers: [{ nodeId: 1 }] })
    expect((await admin.describeGroups(["none"])).groups).toMatchObject([{ groupId: "none", state: "Dead" }])
    expect(await admin.listPartitionReassignments({})).toEqual({ topics: [] })
    await admin.disconnect()
  })

  it.each(pythonClients)("%s: partitions, settings, groups", async (name, client) => {
    await server.createStream(`of-${name}`)
    await ok("groups", "--group", name, "--topic", `of-${name}`, "--reset-offsets", "--to-earliest", "--execute")
    const seen = await pythonAdmin(client, server.kafka, `of-${name}`)
    expect(seen.slice(0, 2)).toEqual(["partitions 4", "retention.ms 5000 1"])
    expect(seen).toContain(`group ${name} EMPTY`)
  })
})
