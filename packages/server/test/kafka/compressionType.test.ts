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
const sentAs = (codec: Codec | "none", count = 3, baseSequence = 0): Uint8Array => {
  const fields = { producerId: 7, producerEpoch: 1, baseSequence }
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

it("what one request has compressed anew is bounded, so that little cannot become much", async () => {
  const small = await startKit({ limits: { kafkaRequestBytesMax: 70_000 } })
  const producer = await small.connect()
  await small.createStream("t", { partitions: 4, config: [["compression.type", "uncompressed"]] })
  await small.createStream("as-sent", { partitions: 4 })
  const codesOf = async (name: string) =>
    (await producer.send(Produce, 9, toAll(name))).responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)
  const { MESSAGE_TOO_LARGE, NONE } = KafkaError
  expect(await codesOf("t")).toEqual([NONE, NONE, MESSAGE_TOO_LARGE, MESSAGE_TOO_LARGE])
  expect(await codesOf("as-sent")).toEqual([NONE, NONE, NONE, NONE])
  await small.close()
  expect(small.defects).toEqual([])
})

it("a change holds for batches that come later", async () => {
  await kit.createStream("t")
  await produce(sentAs("lz4"))
  await kit.ask("catalog/0", { _tag: "AlterStream", name: "t", config: [["compression.type", "zstd"]] })
  await produce(sentAs("lz4", 3, 3))
  expect((await fetched()).map((batch) => Batch.compression(batch))).toEqual(["lz4", "zstd"])
})
