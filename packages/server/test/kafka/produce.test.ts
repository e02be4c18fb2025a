import { gzipSync, zstdCompressSync } from "node:zlib"
import { Partition } from "@logbrook/actors/partition/Partition"
import { batchHeaderBytes, batchesOf, buildBatch, compression, maxTimestamp, crc } from "@logbrook/core/RecordBatch"
import { readFrame } from "@logbrook/core/journal/Frame"
import { crc32c } from "@logbrook/core/Crc32c"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { batchOf, startKit, startMs, until, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, only, produceOf } from "./requests.ts"
import { newestEvents } from "../support/newestEvents.ts"

let kit: Kit
let client: RawClient

beforeEach(async () => {
  kit = await startKit()
  client = await kit.connect()
  await kit.createStream("orders", { partitions: 3 })
})

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const produce = async (records: Uint8Array | null, more: Parameters<typeof produceOf>[2] = {}, version = 9) => {
  const response = await client.send(Produce, version, produceOf("orders", records, more))
  return response.responses[0]!.partitionResponses[0]!
}

const codeOfBytes = async (bytes: number) => {
  const response = await client.send(Produce, 9, produceOf("small", batchOf(["x".repeat(bytes)])))
  return response.responses[0]!.partitionResponses[0]!.errorCode
}

const zstdBatch = (): Uint8Array => {
  const records = zstdCompressSync(batchOf(["a"]).subarray(batchHeaderBytes))
  const fields = { count: 1, baseTimestampMs: startMs, maxTimestampMs: startMs }
  return buildBatch({ baseOffset: 0, partitionLeaderEpoch: -1, codec: "zstd", ...fields }, records)
}

const logOf = (name: string, partition = 0) => kit.shard.logs.log(kit.broker.directory.byName(name)!.logIds[partition]!)

const producedById = async (topicId: string, index = 0) => {
  const { responses } = await client.send(Produce, 13, produceOf({ topicId }, batchOf(["a"]), { index }))
  const { name, topicId: answered, partitionResponses } = responses[0]!
  expect([name, answered]).toEqual(["", topicId])
  return [partitionResponses[0]!.errorCode, partitionResponses[0]!.baseOffset]
}

describe("Produce", () => {
  it("names the client of what it refuses, in the journal and the log, once a second", async () => {
    await kit.createStream("bound", { filters: ["a/#"] })
    for (let i = 0; i < 3; i++) await client.send(Produce, 9, produceOf("bound", batchOf(["x"])))
    kit.disk.isLow = true
    await produce(batchOf(["x"]))
    const clientId = "raw"
    const refused = () => newestEvents(kit, { kind: "client" })
    await expect.poll(refused).toHaveLength(1)
    const authorization = {
      code: "29 TOPIC_AUTHORIZATION_FAILED",
      reason: "The stream is written by MQTT.",
      count: 3,
      topic: "bound"
    }
    const storage = { code: "56 KAFKA_STORAGE_ERROR", reason: "The disk is nearly full.", count: 1, topic: "orders" }
    expect(refused()[0]).toMatchObject({
      actor: `client/${clientId}`,
      event: { protocol: "kafka", address: "127.0.0.1", refused: [authorization, storage] }
    })
    const lines = kit.lines.filter(({ message }) => message === "kafka: publications refused")
    expect(lines.map(({ fields }) => fields)).toEqual([
      { client: clientId, address: "127.0.0.1", ...authorization },
      { client: clientId, address: "127.0.0.1", ...storage }
    ])
  })

  it("gives offsets in order, in every version", async () => {
    for (let version = 3; version <= 12; version++) {
      const { errorCode, baseOffset, logAppendTimeMs } = await produce(batchOf(["a", "b"]), {}, version)
      expect({ errorCode, baseOffset, logAppendTimeMs }).toEqual({
        errorCode: 0,
        baseOffset: (version - 3) * 2,
        logAppendTimeMs: -1
      })
    }
    expect(logOf("orders").highWatermark).toBe(20)
  })

  it("knows topics by their ids from v13 on", async () => {
    const { topicId } = kit.broker.directory.byName("orders")!
    const bound = await kit.createStream("by-id", { filters: ["by-id/#"] })
    expect(await producedById(topicId)).toEqual([0, 0])
    expect(await producedById(topicId, 99)).toEqual([KafkaError.UNKNOWN_TOPIC_OR_PARTITION, -1])
    expect(await producedById(zeroUuid)).toEqual([KafkaError.UNKNOWN_TOPIC_ID, -1])
    expect(await producedById(bound.topicId)).toEqual([KafkaError.TOPIC_AUTHORIZATION_FAILED, -1])
    await kit.ask("catalog/0", { _tag: "DeleteStream", name: "orders" })
    await kit.createStream("orders")
    expect(await producedById(topicId)).toEqual([KafkaError.UNKNOWN_TOPIC_ID, -1])
  })

  it("keeps a batch as it was sent, but for what the broker sets (trap 27)", async () => {
    const sent = batchOf([{ key: "k", value: "v", headers: [["h", "1"]] }, "w"])
    await produce(batchOf(["first"]))
    await produce(Buffer.from(sent))
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders", { offset: 1 })))
    const stored = Buffer.from(records!)
    expect(stored.readBigInt64BE(0)).toBe(1n)
    expect(stored.readInt32BE(12)).toBe(kit.shard.epoch)
    expect(stored.subarray(16).equals(Buffer.from(sent).subarray(16))).toBe(true)
  })

  it("keeps compressed batches compressed, and corrects a maximum timestamp that lies", async () => {
    const plain = batchOf([{ value: "a".repeat(500), timestampMs: startMs + 7 }])
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, baseTimestampMs: startMs + 7 }
    const packed = gzipSync(plain.subarray(batchHeaderBytes))
    await produce(buildBatch({ ...fields, codec: "gzip", maxTimestampMs: startMs + 99 }, packed))
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders")))
    expect(records!.length).toBe(batchHeaderBytes + packed.length)
    expect(maxTimestamp(records!)).toBe(startMs + 7)
    expect(crc32c(records!.subarray(21))).toBe(crc(records!))
  })

  it("answers acks=0 with nothing at all (trap 12)", async () => {
    client.write(client.requestOf(Produce, 9, produceOf("orders", batchOf(["a"]), { acks: 0 })))
    await until(() => logOf("orders").highWatermark === 1)
    const { baseOffset } = await produce(batchOf(["b"]))
    expect(baseOffset).toBe(1)
    expect(client.responses).toHaveLength(1)
  })

  it("closes on a refusal with acks=0, as Kafka does", async () => {
    client.write(client.requestOf(Produce, 9, produceOf("nowhere", batchOf(["a"]), { acks: 0 })))
    await client.closed()
    expect(client.responses).toHaveLength(0)
  })

  it("takes many partitions of a request, and tells each its own", async () => {
    const response = await client.send(Produce, 9, {
      ...produceOf("orders", null),
      topicData: [
        {
          name: "orders",
          partitionData: [0, 1, 2, 3].map((index) => ({ index, records: batchOf(["a"]) }))
        },
        { name: "nowhere", partitionData: [{ index: 0, records: batchOf(["a"]) }] }
      ]
    })
    const codes = response.responses.map(({ partitionResponses }) => partitionResponses.map((p) => p.errorCode))
    expect(codes).toEqual([[0, 0, 0, 3], [3]])
  })

  it("refuses bound streams and stores nothing", async () => {
    await kit.createStream("sensors", { filters: ["s/#"] })
    const seq = kit.shard.nextSeq
    const response = await client.send(Produce, 9, produceOf("sensors", batchOf(["a"])))
    expect(response.responses[0]!.partitionResponses[0]!.errorCode).toBe(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    expect(kit.shard.nextSeq).toBe(seq)
  })

  it("refuses writes while the disk is low, by a code that clients retry", async () => {
    kit.disk.isLow = true
    expect((await produce(batchOf(["a"]))).errorCode).toBe(KafkaError.KAFKA_STORAGE_ERROR)
    kit.disk.isLow = false
    expect((await produce(batchOf(["a"]))).errorCode).toBe(0)
  })

  it("refuses other acks", async () => {
    expect((await produce(batchOf(["a"]), { acks: 2 })).errorCode).toBe(KafkaError.INVALID_REQUIRED_ACKS)
  })

  it("refuses zstd before version 7; what is there every version of Fetch gets as it is, and what stands before it", async () => {
    expect((await produce(zstdBatch())).errorCode).toBe(0)
    expect((await produce(zstdBatch(), {}, 6)).errorCode).toBe(KafkaError.UNSUPPORTED_COMPRESSION_TYPE)
    expect((await produce(batchOf(["plain"]), {}, 7)).errorCode).toBe(0)
    expect((await produce(zstdBatch(), {}, 7)).errorCode).toBe(0)
    for (const version of [4, 9, 10, 12]) {
      const { errorCode, records } = only(await client.send(Fetch, version, fetchOf("orders")))
      const codecs: Array<string | undefined> = []
      batchesOf(records!, (at) => codecs.push(compression(records!, at)))
      expect([version, errorCode, codecs]).toEqual([version, 0, ["zstd", "none", "zstd"]])
    }
  })

  it("takes batches up to Kafka's own default of max.message.bytes, 1,048,588 bytes, and gives them to a first fetch", async () => {
    const bytesMax = 1_048_588
    const rest = batchOf([""]).length
    // Two lengths before the value take three bytes each instead of one.
    const batch = (bytes: number): Uint8Array => batchOf(["x".repeat(bytes - rest - 4)])
    expect(batch(bytesMax).length).toBe(bytesMax)
    expect((await produce(batch(bytesMax + 1))).errorCode).toBe(KafkaError.MESSAGE_TOO_LARGE)
    expect((await produce(batch(bytesMax))).errorCode).toBe(0)
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders", { partitionMaxBytes: 1024 * 1024 })))
    expect(records!.length).toBe(bytesMax)
  })

  it("obeys max.message.bytes", async () => {
    await kit.createStream("small", { config: [["max.message.bytes", "200"]] })
    expect(await codeOfBytes(300)).toBe(KafkaError.MESSAGE_TOO_LARGE)
    expect(await codeOfBytes(100)).toBe(0)
  })

  it("stores and answers every batch of a request that names a partition twice", async () => {
    const partitionData = ["a", "b"].map((value) => ({ index: 0, records: batchOf([value]) }))
    const topicData = [
      { name: "orders", partitionData },
      { name: "orders", partitionData: [{ index: 0, records: batchOf(["c"]) }] }
    ]
    const { responses } = await client.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData })
    const told = responses.map(({ partitionResponses }) => partitionResponses.map((each) => each.baseOffset))
    expect(told).toEqual([[0, 1], [2]])
    expect(logOf("orders").highWatermark).toBe(3)
  })

  it("takes a partition sixteen times in a request, and no more", async () => {
    const partitionData = Array.from({ length: 17 }, () => ({ index: 0, records: batchOf(["a"]) }))
    const topicData = [{ name: "orders", partitionData }]
    const { responses } = await client.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData })
    const codes = responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)
    expect(codes).toEqual([...Array.from({ length: 16 }, () => 0), KafkaError.INVALID_REQUEST])
    expect(logOf("orders").highWatermark).toBe(16)
  })

  it("counts a partition also where its batch is refused, and does not look at one beyond the bound", async () => {
    const bad = Array.from({ length: 16 }, () => ({ index: 0, records: null }))
    const beyond = [null, batchOf(["a"])].map((records) => ({ index: 0, records }))
    const topicData = [{ name: "orders", partitionData: [...bad, ...beyond, { index: 1, records: batchOf(["b"]) }] }]
    const { responses } = await client.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData })
    const codes = responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)
    const [invalid, tooOften] = [KafkaError.INVALID_RECORD, KafkaError.INVALID_REQUEST]
    expect(codes).toEqual([...bad.map(() => invalid), tooOften, tooOften, 0])
    expect([logOf("orders").highWatermark, logOf("orders", 1).highWatermark]).toEqual([0, 1])
  })

  it("wants exactly one batch per partition", async () => {
    const before = kit.shard.nextSeq
    const two = Buffer.concat([batchOf(["a"]), batchOf(["b"])])
    for (const records of [two, null, new Uint8Array(0)]) {
      expect((await produce(records)).errorCode).toBe(KafkaError.INVALID_RECORD)
    }
    expect(kit.shard.nextSeq).toBe(before)
  })
})

const sequenced = (producerId: number, baseSequence: number, values: ReadonlyArray<string>, producerEpoch = 0) =>
  batchOf(values, { producerId, producerEpoch, baseSequence })

describe("idempotent producers (trap 36)", () => {
  it("get ids that differ", async () => {
    const ids = new Set<number>()
    for (let version = 0; version <= 5; version++) {
      const other = await kit.connect()
      const { errorCode, producerId, producerEpoch } = await other.send(InitProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 1000
      })
      expect([errorCode, producerEpoch]).toEqual([0, 0])
      ids.add(producerId)
    }
    expect(ids.size).toBe(6)
  })

  it("get ids from more than one block", async () => {
    const seen = new Set<number>()
    const take = async () => {
      const { producerId } = await client.send(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 1 })
      seen.add(producerId)
    }
    for (let i = 0; i < 1003; i++) await take()
    expect(seen.size).toBe(1003)
  })

  it("get the old offset for a duplicate, 45 for a gap, 47 for an old epoch", async () => {
    expect(await produce(sequenced(9, 0, ["a", "b"]))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await produce(sequenced(9, 2, ["c"]))).toMatchObject({ errorCode: 0, baseOffset: 2 })
    expect(await produce(sequenced(9, 0, ["a", "b"]))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect((await produce(sequenced(9, 7, ["z"]))).errorCode).toBe(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect(await produce(sequenced(9, 0, ["d"], 1))).toMatchObject({ errorCode: 0, baseOffset: 3 })
    expect((await produce(sequenced(9, 3, ["e"], 0))).errorCode).toBe(KafkaError.INVALID_PRODUCER_EPOCH)
    expect(logOf("orders").highWatermark).toBe(4)
  })

  it("are not taken to begin with a batch that was sent behind one which the full disk refused", async () => {
    kit.disk.isLow = true
    expect((await produce(sequenced(9, 0, ["a"]))).errorCode).toBe(KafkaError.KAFKA_STORAGE_ERROR)
    expect((await produce(sequenced(9, 1, ["b"]))).errorCode).toBe(KafkaError.KAFKA_STORAGE_ERROR)
    kit.disk.isLow = false
    const outOfOrder = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    expect((await produce(sequenced(9, 1, ["b"]))).errorCode).toBe(outOfOrder)
    expect((await produce(sequenced(9, 2, ["c"]))).errorCode).toBe(outOfOrder)
    expect(await produce(sequenced(8, 5, ["another's"]))).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(await produce(sequenced(9, 0, ["a"]))).toMatchObject({ errorCode: 0, baseOffset: 1 })
    expect(await produce(sequenced(9, 1, ["b"]))).toMatchObject({ errorCode: 0, baseOffset: 2 })
  })

  it("are not taken to begin with a batch that was sent behind one which its partition could not decide", async () => {
    const decide = vi.spyOn(Partition, "decide").mockImplementationOnce(() => {
      throw new Error("once")
    })
    const sent = (sequence: number) => client.send(Produce, 9, produceOf("orders", sequenced(9, sequence, ["x"])))
    kit.shard.hold(true)
    const sending = [0, 1, 2].map(sent)
    await until(() => kit.shard.waiting === 3)
    kit.shard.hold(false)
    const codes = (await Promise.all(sending)).map((each) => each.responses[0]!.partitionResponses[0]!.errorCode)
    decide.mockRestore()
    const outOfOrder = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    expect(codes).toEqual([KafkaError.KAFKA_STORAGE_ERROR, outOfOrder, outOfOrder])
    expect((await produce(sequenced(9, 1, ["x"]))).errorCode).toBe(outOfOrder)
    for (let i = 0; i < 3; i++) {
      expect(await produce(sequenced(9, i, ["x"]))).toMatchObject({ errorCode: 0, baseOffset: i })
    }
    expect(kit.defects.splice(0)).toEqual([new Error("once")])
  })

  it("keep their order when they pipeline (trap 13)", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => produce(sequenced(5, i, [`${i}`]), {}, 9)))
    expect(answers.map(({ baseOffset }) => baseOffset)).toEqual(Array.from({ length: 20 }, (_, i) => i))
    let batches = 0
    batchesOf(only(await client.send(Fetch, 11, fetchOf("orders"))).records!, () => batches++)
    expect(batches).toBe(20)
  })
})

it("the journal says who produced", async () => {
  await produce(batchOf(["a"]))
  const origins: Array<string | undefined> = []
  kit.journal.scan(1, (frame) => {
    readFrame(frame, { records: (_seq, _ref, cause) => origins.push(cause.origin) })
    return true
  })
  const { localPort } = client.socket
  expect(origins).toEqual([`kafka raw@127.0.0.1:${localPort} Produce#${client.lastCorrelationId}`])
})
