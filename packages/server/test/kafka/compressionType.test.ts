import { compress, type Codec } from "@logbrook/core/Compression"
import { crc32c } from "@logbrook/core/Crc32c"
import * as Batch from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { expect, it } from "vitest"
import { aKitForEach } from "./aKitForEach.ts"
import { batchOf, startKit, startMs, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, only, produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient

aKitForEach((started, connected) => {
  kit = started
  client = connected
})

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const
const settings = { none: "uncompressed", gzip: "gzip", snappy: "snappy", lz4: "lz4", zstd: "zstd" }
const value = "a".repeat(300)

/** `count` records of 300 bytes of an idempotent producer, from sequence `baseSequence` on. */
const sentAs = (codec: Codec | "none", count = 3, baseSequence = 0, isTransactional = false): Uint8Array => {
  const fields = { producerId: 7, producerEpoch: 1, baseSequence, isTransactional }
  const plain = batchOf(
    Array.from({ length: count }, () => value),
    fields
  )
  if (codec === "none") return plain
  const times = { baseTimestampMs: startMs, maxTimestampMs: startMs }
  const header = { baseOffset: 0, partitionLeaderEpoch: -1, count, ...times, ...fields, codec }
  return Batch.buildBatch(header, compress(codec, plain.subarray(Batch.batchHeaderBytes)))
}

/** The same batch for each of four partitions. */
const toAll = (name: string) => {
  const records = sentAs("zstd", 100)
  const partitionData = [0, 1, 2, 3].map((index) => ({ index, records }))
  return { transactionalId: null, acks: -1, timeoutMs: 1000, topicData: [{ name, partitionData }] }
}

const produce = async (records: Uint8Array, topic = "t") => {
  const response = await client.send(Produce, 9, produceOf(topic, records))
  return response.responses[0]!.partitionResponses[0]!
}

const fetched = async (topic = "t"): Promise<ReadonlyArray<Uint8Array>> => {
  const bytes = Uint8Array.from(only(await client.send(Fetch, 11, fetchOf(topic))).records!)
  return Batch.splitBatches(bytes)
}

it.each(codecs)("a topic's compression.type is what batches are stored with: %s", async (wanted) => {
  await kit.createStream("t", { config: [["compression.type", settings[wanted]]] })
  for (const [i, codec] of codecs.entries()) {
    const sent = sentAs(codec, 3, i * 3)
    expect(await produce(Buffer.from(sent))).toMatchObject({ errorCode: 0, baseOffset: i * 3 })
    const stored = (await fetched())[i]!
    expect([Batch.compression(stored), Batch.count(stored), Batch.baseOffset(stored)]).toEqual([wanted, 3, i * 3])
    expect(Batch.crc(stored)).toBe(crc32c(stored.subarray(21)))
    expect([Batch.producerId(stored), Batch.producerEpoch(stored), Batch.baseSequence(stored)]).toEqual([7, 1, i * 3])
    expect(Buffer.from(Batch.recordsOf(stored)).equals(Batch.recordsOf(sent))).toBe(true)
    // What comes with the right codec is stored as it came.
    const isVerbatim = Buffer.from(stored.subarray(16)).equals(sent.subarray(16))
    expect(isVerbatim).toBe(codec === wanted)
    // It is known by its sequence when it is sent again.
    expect(await produce(Buffer.from(sent))).toMatchObject({ errorCode: 0, baseOffset: i * 3 })
  }
  expect(await fetched()).toHaveLength(codecs.length)
})

it("a batch that was compressed anew has the time of its append, where that counts", async () => {
  const config = [
    ["compression.type", "gzip"],
    ["message.timestamp.type", "LogAppendTime"]
  ] as const
  await kit.createStream("t", { config })
  const { logAppendTimeMs } = await produce(sentAs("none"))
  const [stored] = await fetched()
  expect([Batch.compression(stored!), Batch.maxTimestamp(stored!)]).toEqual(["gzip", logAppendTimeMs])
  expect(Batch.crc(stored!)).toBe(crc32c(stored!.subarray(21)))
})

it("a batch that grows beyond max.message.bytes is refused, as one that came larger", async () => {
  for (const type of ["uncompressed", "gzip"]) {
    const config = [
      ["compression.type", type],
      ["max.message.bytes", "1000"]
    ] as const
    await kit.createStream(type, { config })
  }
  const { errorCode, baseOffset } = await produce(sentAs("gzip", 100), "uncompressed")
  expect([errorCode, baseOffset]).toEqual([KafkaError.MESSAGE_TOO_LARGE, -1])
  expect((await produce(sentAs("none", 100), "gzip")).errorCode).toBe(KafkaError.MESSAGE_TOO_LARGE)
})

it("all batches of a request are taken, whatever they are together once they are decompressed", async () => {
  const small = await startKit({ limits: { kafkaRequestBytesMax: 70_000, commitInFlightBytesMax: 50_000 } })
  const producer = await small.connect()
  await small.createStream("t", { partitions: 4, config: [["compression.type", "uncompressed"]] })
  const { responses } = await producer.send(Produce, 9, toAll("t"))
  expect(responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)).toEqual([0, 0, 0, 0])
  await small.close()
  expect(small.defects).toEqual([])
})

it("requests of one connection come to their partition in the order in which they were sent", async () => {
  await kit.createStream("t", { config: [["compression.type", "gzip"]] })
  // The first takes its time in a thread; those behind it are small, or are stored as they come.
  const sent = [sentAs("none", 1000), sentAs("none", 3, 1000), sentAs("gzip", 3, 1003), sentAs("lz4", 1000, 1006)]
  const answers = await Promise.all(sent.map((records) => produce(records)))
  expect(answers.map(({ errorCode, baseOffset }) => [errorCode, baseOffset])).toEqual([
    [0, 0],
    [0, 1000],
    [0, 1003],
    [0, 1006]
  ])
  expect((await fetched()).map((batch) => Batch.baseSequence(batch))).toEqual([0, 1000, 1003, 1006])
})

it("batches of one request stay in their order, and one that is refused leaves the others in peace", async () => {
  const config = [
    ["compression.type", "uncompressed"],
    ["max.message.bytes", "1000000"]
  ] as const
  await kit.createStream("t", { partitions: 2, config })
  const grown = sentAs("gzip", 3300)
  const batches = [sentAs("gzip", 3000), grown, sentAs("none", 3, 3000), sentAs("gzip", 300, 3003)]
  const partitionData = batches.map((records) => ({ index: records === grown ? 1 : 0, records }))
  const request = { transactionalId: null, acks: -1, timeoutMs: 1000, topicData: [{ name: "t", partitionData }] }
  const { responses } = await client.send(Produce, 9, request)
  const told = responses[0]!.partitionResponses.map(({ errorCode, baseOffset }) => [errorCode, baseOffset])
  expect(told).toEqual([
    [0, 0],
    [KafkaError.MESSAGE_TOO_LARGE, -1],
    [0, 3000],
    [0, 3003]
  ])
  expect(kit.broker.shards.memory.bytes("transit")).toBe(0)
})

it("why a batch cannot be stored in any case is told before it is compressed anew", async () => {
  const config = [
    ["compression.type", "uncompressed"],
    ["max.message.bytes", "1000"]
  ] as const
  await kit.createStream("t", { config })
  // It would be too large.
  expect((await produce(sentAs("gzip", 100))).errorCode).toBe(KafkaError.MESSAGE_TOO_LARGE)
  const ofTransaction = sentAs("gzip", 100, 0, true)
  expect((await produce(ofTransaction)).errorCode).toBe(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  kit.disk.isLow = true
  expect((await produce(sentAs("gzip", 100))).errorCode).toBe(KafkaError.KAFKA_STORAGE_ERROR)
})

it("a change holds for batches that come later", async () => {
  await kit.createStream("t")
  await produce(sentAs("lz4"))
  await kit.ask("catalog/0", { _tag: "AlterStream", name: "t", config: [["compression.type", "zstd"]] })
  await produce(sentAs("lz4", 3, 3))
  expect((await fetched()).map((batch) => Batch.compression(batch))).toEqual(["lz4", "zstd"])
})
