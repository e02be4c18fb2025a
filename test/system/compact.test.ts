import { connectAsync, type MqttClient } from "mqtt"
import { afterEach, expect, it, vi } from "vitest"
import { inOrder } from "../support/kafkaRecord.ts"
import { kafkajsOf, kafkajsRead, platformaticRead } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"

const deleteRetentionMs = 2000
const devices = 20
const rounds = 60
const cleanUps: Array<() => Promise<unknown> | void> = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const topicOf = (device: number): string => `state/${device}`

/** Other messages, until whatever came before lies in closed segments. */
const roll = async (server: ServerProcess, client: MqttClient): Promise<void> => {
  const settled = await server.metric("logbrook_settle_segments_total")
  while ((await server.metric("logbrook_settle_segments_total")) < settled + 1) {
    const noise = Array.from({ length: 50 }, () => client.publishAsync("noise", "x".repeat(4000), { qos: 1 }))
    await Promise.all(noise)
  }
}

const compacted = async (server: ServerProcess, before: number): Promise<number> => {
  const name = `logbrook_rewrite_segments_total{kind="compact"}`
  await vi.waitFor(async () => expect(await server.metric(name)).toBeGreaterThan(before), {
    timeout: 40_000,
    interval: 200
  })
  return server.metric(name)
}

/** Key and value of everything there is; the log's last offset tells that it is everything. */
const readBy = async (
  read: typeof kafkajsRead,
  server: ServerProcess,
  count: number
): Promise<ReadonlyArray<readonly [string, string | null]>> => {
  const records = inOrder(await read(server.kafka, "state", count))
  const [{ high = "" } = {}] = await kafkajsOf(server.kafka).admin().fetchTopicOffsets("state")
  expect(records.at(-1)!.offset).toBe(Number(high) - 1)
  return records.map(({ key, value }) => [key!.toString(), value?.toString() ?? null] as const)
}

it("a stream of last values keeps those, tombstones for their time, and then not even them", async () => {
  const server = await ServerProcess.start({ env: { LOGBROOK_JOURNAL_SEGMENT_BYTES: "500KB" } })
  cleanUps.push(() => server.dispose())
  const config = ["max.compaction.lag.ms=1", `delete.retention.ms=${deleteRetentionMs}`]
  const flags = config.flatMap((each) => ["--config", each])
  const created = ["--filter", "state/#", "--partitions", "1", "--compact", ...flags, "--url", server.url, "--json"]
  expect(JSON.parse(await server.cli("streams", "create", "state", ...created))).toMatchObject({
    key: "topic",
    config: { "cleanup.policy": "compact" }
  })
  const described = await server.cli("streams", "describe", "state", "--url", server.url)
  expect(described).toMatch(/compaction +the newest record of each key stays/)
  expect(described).not.toMatch(/^retention/m)
  await server.createStream("noise", { filters: ["noise"], partitions: 1 })
  const client = await connectAsync(server.mqttUrl)
  for (let round = 0; round < rounds; round++) {
    const each = Array.from({ length: devices }, (_, device) =>
      client.publishAsync(topicOf(device), `${round} of ${device}`, { qos: 1, retain: true })
    )
    await Promise.all(each)
  }
  await client.publishAsync(topicOf(3), "", { qos: 1, retain: true })
  await client.publishAsync(topicOf(devices), "last", { qos: 1 })
  await roll(server, client)
  const first = await compacted(server, 0)
  const last = Array.from({ length: devices }, (_, device) => [topicOf(device), `${rounds - 1} of ${device}`] as const)
  const living = [...last.filter(([topic]) => topic !== topicOf(3)), [topicOf(devices), "last"] as const]
  const withTombstone = [...living.slice(0, -1), [topicOf(3), null] as const, ...living.slice(-1)]
  for (const read of [kafkajsRead, platformaticRead]) {
    expect(await readBy(read, server, withTombstone.length)).toEqual(withTombstone)
  }
  await new Promise((resolve) => setTimeout(resolve, deleteRetentionMs))
  await client.publishAsync(topicOf(devices), "newer", { qos: 1 })
  await roll(server, client)
  await compacted(server, first)
  const left = [...living.slice(0, -1), [topicOf(devices), "newer"] as const]
  for (const read of [kafkajsRead, platformaticRead]) {
    expect(await readBy(read, server, left.length)).toEqual(left)
  }
  await client.endAsync()
  await server.kill()
  await server.start()
  expect(await readBy(kafkajsRead, server, left.length)).toEqual(left)
  expect(await server.stop()).toBe(0)
  await server.cli("doctor", "--data-dir", server.dataDir)
  await server.cli("journal", "verify", "--data-dir", server.dataDir)
})

it("kafkajs deletes records", async () => {
  const server = await ServerProcess.start()
  cleanUps.push(() => server.dispose())
  await server.createStream("orders", { partitions: 1 })
  await server.createStream("last", { partitions: 1, config: { "cleanup.policy": "compact" } })
  const kafka = kafkajsOf(server.kafka)
  const producer = kafka.producer()
  await producer.connect()
  const messages = Array.from({ length: 10 }, (_, i) => ({ key: "k", value: String(i) }))
  for (const topic of ["orders", "last"]) await producer.send({ topic, messages })
  await expect(producer.send({ topic: "last", messages: [{ value: "no key" }] })).rejects.toThrow()
  await producer.disconnect()
  const admin = kafka.admin()
  await admin.connect()
  cleanUps.push(() => admin.disconnect())
  // It looks for leaders only in what it already knows.
  for (const topic of ["orders", "last"]) {
    expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ low: "0", high: "10" }])
  }
  await admin.deleteTopicRecords({ topic: "orders", partitions: [{ partition: 0, offset: "4" }] })
  expect(await admin.fetchTopicOffsets("orders")).toMatchObject([{ low: "4", high: "10" }])
  expect((await kafkajsRead(server.kafka, "orders", 6)).map(({ offset }) => offset)).toEqual([4, 5, 6, 7, 8, 9])
  await admin.deleteTopicRecords({ topic: "orders", partitions: [{ partition: 0, offset: "-1" }] })
  expect(await admin.fetchTopicOffsets("orders")).toMatchObject([{ low: "10", high: "10" }])
  const deletion = admin.deleteTopicRecords({ topic: "last", partitions: [{ partition: 0, offset: "4" }] })
  await expect(deletion).rejects.toThrow()
})
