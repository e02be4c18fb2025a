import { batchesOf, compression } from "@logbrook/core/RecordBatch"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { KafkaClient } from "../../bench/load/KafkaClient.ts"
import { javaProduce, javaRead, kafkaTool } from "../support/java.ts"
import { kcatProduce, kcatRead } from "../support/kcat.ts"
import { inOrder, type KafkaRecord } from "../support/kafkaRecord.ts"
import { kafkajsOf, platformaticRead } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"

const count = 200
const some = (writer: string) =>
  Array.from({ length: count }, (_, n) => ({
    key: Buffer.from(`${writer}-${n}`),
    value: Buffer.from(`${n} ${"lorem ipsum ".repeat(n % 40)}`)
  }))

const textOf = (records: ReadonlyArray<Pick<KafkaRecord, "key" | "value">>) =>
  records.map(({ key, value }) => `${String(key)}=${String(value)}`)

/** The codecs of all batches of a partition. */
const codecsOf = async (port: number, topic: string): Promise<ReadonlyArray<string>> => {
  const client = await KafkaClient.connect(port)
  const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 24 }
  const request = { maxWaitMs: 0, minBytes: 1, maxBytes: 1 << 24, isolationLevel: 0 }
  const response = await client.request(Fetch, 11, { ...request, topics: [{ topic, partitions: [partition] }] })
  const bytes = response.responses[0]!.partitions[0]!.records!
  const codecs = new Set<string>()
  batchesOf(bytes, (at) => codecs.add(compression(bytes, at)!))
  client.close()
  return [...codecs]
}

describe("settings of topics by which the server changes what it stores", () => {
  let server: ServerProcess
  const portOf = () => Number(server.kafka.split(":").at(-1))

  beforeAll(async () => {
    server = await ServerProcess.start()
  })
  afterAll(() => server?.dispose())

  it.each([
    ["uncompressed", "none"],
    ["gzip", "gzip"],
    ["snappy", "snappy"],
    ["lz4", "lz4"],
    ["zstd", "zstd"]
  ])("compression.type=%s: every client reads what others have sent otherwise", async (type, codec) => {
    const topic = `by-${type}`
    await server.createStream(topic, { partitions: 1, config: { "compression.type": type } })
    await kcatProduce(server.kafka, topic, codec === "none" ? "gzip" : "none", some("kcat"))
    const { code, stderr } = await javaProduce(server.kafka, topic, codec === "lz4" ? "zstd" : "lz4", some("java"))
    expect(code, stderr).toBe(0)
    expect(await codecsOf(portOf(), topic)).toEqual([codec])
    const wanted = textOf([...some("kcat"), ...some("java")])
    expect(textOf(inOrder(await kcatRead(server.kafka, topic)))).toEqual(wanted)
    expect(textOf(inOrder(await javaRead(server.kafka, topic)))).toEqual(wanted)
    expect(textOf(inOrder(await platformaticRead(server.kafka, topic, 2 * count)))).toEqual(wanted)
  })

  it("message.timestamp.type=LogAppendTime, by kafka-topics: producers and readers are told the time of the append", async () => {
    const setting = ["--config", "message.timestamp.type=LogAppendTime"]
    const args = ["--bootstrap-server", server.kafka, "--create", "--topic", "appended", ...setting]
    const { code, stderr } = await kafkaTool("org.apache.kafka.tools.TopicCommand", args)
    expect(code, stderr).toBe(0)
    const kafka = kafkajsOf(server.kafka)
    const producer = kafka.producer()
    await producer.connect()
    const fromMs = Date.now()
    const messages = [
      { value: "a", timestamp: "1000" },
      { value: "b", timestamp: String(fromMs + 9_000_000) }
    ]
    const [sent] = await producer.send({ topic: "appended", messages })
    await producer.disconnect()
    const appendedMs = Number(sent!.logAppendTime)
    expect(appendedMs).toBeGreaterThanOrEqual(fromMs)
    expect(appendedMs).toBeLessThanOrEqual(Date.now())
    for (const read of [await kcatRead(server.kafka, "appended"), await javaRead(server.kafka, "appended")])
      expect(read.map(({ timestampMs }) => timestampMs)).toEqual([appendedMs, appendedMs])
    const admin = kafka.admin()
    await admin.connect()
    const offsetAt = async (ms: number) => (await admin.fetchTopicOffsetsByTimestamp("appended", ms))[0]!.offset
    // kafkajs puts the end for what is not there.
    expect([await offsetAt(fromMs), await offsetAt(appendedMs + 1)]).toEqual(["0", "2"])
    await admin.disconnect()
  })
})
