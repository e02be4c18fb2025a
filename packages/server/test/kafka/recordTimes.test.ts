import { gzipSync } from "node:zlib"
import { crc32c } from "@logbrook/core/Crc32c"
import * as Batch from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { batchOf, startKit, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, only, produceOf } from "./requests.ts"

// What Kafka 4.1 answered to the same requests.

const { batchHeaderBytes, buildBatch } = Batch
const hourMs = 3_600_000
const before = "message.timestamp.before.max.ms"
const after = "message.timestamp.after.max.ms"

let kit: Kit
let client: RawClient
/** What the server's clock says, throughout. */
const nowMs = 1_700_000_000_000

beforeEach(async () => {
  kit = await startKit()
  Object.assign(kit.broker, { clock: { ...kit.broker.clock, nowMs: () => nowMs } })
  client = await kit.connect()
  await kit.createStream("orders")
})

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const at = (timestampMs: number, key: string | null = "k") => ({ key, value: "v", timestampMs })

const produce = async (records: Uint8Array, topic = "orders", version = 9) => {
  const response = await client.send(Produce, version, produceOf(topic, records))
  return response.responses[0]!.partitionResponses[0]!
}

const refusal = async (records: Uint8Array, topic = "orders", version = 9) => {
  const seq = kit.shard.nextSeq
  const { errorCode, baseOffset, recordErrors } = await produce(records, topic, version)
  // Nothing of the batch is stored.
  expect(kit.shard.nextSeq).toBe(seq)
  expect(baseOffset).toBe(-1)
  return [errorCode, recordErrors.map(({ batchIndex }) => batchIndex)]
}

const create = async (configs: ReadonlyArray<{ name: string; value: string }>, name: string) => {
  const topics = [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs }]
  return (await client.send(CreateTopics, 5, { topics, timeoutMs: 1000 })).topics[0]!
}

describe("the times of produced records", () => {
  it("may be an hour ahead, and no more; the whole batch is refused, and each such record named from version 8 on", async () => {
    expect((await produce(batchOf([at(nowMs), at(nowMs + hourMs)]))).errorCode).toBe(0)
    const ahead = (): Uint8Array => batchOf([at(nowMs + hourMs + 1), at(nowMs), at(nowMs * 1000)])
    expect(await refusal(ahead(), "orders", 7)).toEqual([KafkaError.INVALID_TIMESTAMP, []])
    expect(await refusal(ahead(), "orders", 8)).toEqual([KafkaError.INVALID_TIMESTAMP, [0, 2]])
    const { recordErrors, errorMessage } = await produce(ahead())
    expect(errorMessage).toBe("Records have times that the topic does not take.")
    expect(recordErrors[0]!.batchIndexErrorMessage).toBe(
      `Timestamp ${nowMs + hourMs + 1} is after ${nowMs + hourMs}, see ${after}.`
    )
  })

  it("may be as old as they like, or not there at all", async () => {
    expect((await produce(batchOf([at(nowMs), at(0), at(5), at(-1)]))).errorCode).toBe(0)
    expect((await produce(batchOf([at(-1), at(-1)]))).errorCode).toBe(0)
  })

  it("are those of the records, whatever the header of the batch says, compressed or not", async () => {
    const records = batchOf([at(nowMs), at(nowMs + 2 * hourMs)]).subarray(batchHeaderBytes)
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 2, baseTimestampMs: nowMs, maxTimestampMs: nowMs }
    expect(await refusal(buildBatch(fields, records))).toEqual([KafkaError.INVALID_TIMESTAMP, [1]])
    const packed = buildBatch({ ...fields, codec: "gzip" }, gzipSync(records))
    expect(await refusal(packed)).toEqual([KafkaError.INVALID_TIMESTAMP, [1]])
    const liar = { ...fields, maxTimestampMs: nowMs + 9 * hourMs }
    expect(
      (await produce(buildBatch(liar, batchOf([at(nowMs), at(nowMs)]).subarray(batchHeaderBytes)))).errorCode
    ).toBe(0)
  })

  it("are bounded by the topic's own settings", async () => {
    const config = [
      [before, "1000"],
      [after, "0"]
    ] as const
    await kit.createStream("narrow", { config })
    expect((await produce(batchOf([at(nowMs - 1000), at(nowMs), at(-1)]), "narrow")).errorCode).toBe(0)
    const wrong = batchOf([at(nowMs - 1001), at(nowMs), at(nowMs + 1), at(-1)])
    expect(await refusal(wrong, "narrow")).toEqual([KafkaError.INVALID_TIMESTAMP, [0, 2]])
    await kit.createStream("wide", { config: [[after, "9223372036854775807"]] })
    expect((await produce(batchOf([at(nowMs * 1000)]), "wide")).errorCode).toBe(0)
  })

  it("are named beside records without key, which a compacted topic refuses", async () => {
    await kit.createStream("latest", { config: [["cleanup.policy", "compact"]] })
    expect(await refusal(batchOf([at(nowMs), at(nowMs, null)]), "latest")).toEqual([KafkaError.INVALID_RECORD, [1]])
    const both = batchOf([at(nowMs, null), at(nowMs + 2 * hourMs), at(nowMs + 2 * hourMs, null)])
    expect(await refusal(both, "latest")).toEqual([KafkaError.INVALID_TIMESTAMP, [0, 1, 2]])
  })

  it("are named where they are none: below 0, or in nanoseconds", async () => {
    expect(await refusal(batchOf([at(-5), at(nowMs), at(-2)]))).toEqual([KafkaError.INVALID_TIMESTAMP, [0, 2]])
    expect(await refusal(batchOf([at(nowMs * 1e6)]))).toEqual([KafkaError.INVALID_TIMESTAMP, [0]])
    const { recordErrors } = await produce(batchOf([at(-5)]))
    expect(recordErrors[0]!.batchIndexErrorMessage).toBe("a record's time that is no number of ms from 0 to 2^53 - 1")
  })

  it("are told of a thousand records of one request at most", async () => {
    await kit.createStream("many", { partitions: 2 })
    const wrong = batchOf(Array.from({ length: 700 }, () => at(nowMs * 1000)))
    const partitionData = [0, 1, 0].map((index) => ({ index, records: wrong }))
    const topicData = [{ name: "many", partitionData }]
    const { responses } = await client.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 1000, topicData })
    expect(responses[0]!.partitionResponses.map((each) => [each.errorCode, each.recordErrors.length])).toEqual([
      [KafkaError.INVALID_TIMESTAMP, 700],
      [KafkaError.INVALID_TIMESTAMP, 300],
      [KafkaError.INVALID_TIMESTAMP, 0]
    ])
  })
})

const timestampType = "message.timestamp.type"

const fetched = async (topic: string, offset = 0): Promise<Uint8Array> =>
  Uint8Array.from(only(await client.send(Fetch, 11, fetchOf(topic, { offset }))).records!)

const listed = async (topic: string, timestamp: number) => {
  const topics = [{ name: topic, partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp }] }]
  const response = await client.send(ListOffsets, 7, { replicaId: -1, isolationLevel: 0, topics })
  const { offset, timestamp: foundAtMs } = response.topics[0]!.partitions[0]!
  return [offset, foundAtMs]
}

const times = (batch: Uint8Array) => [Batch.isLogAppendTime(batch), Batch.maxTimestamp(batch)]

const idempotent = () => batchOf([at(nowMs)], { producerId: 1, producerEpoch: 0, baseSequence: 0 })

describe("a topic with LogAppendTime", () => {
  it.each(["none", "gzip"] as const)("gives records the time of their append, compressed: %s", async (codec) => {
    await kit.createStream("log", { config: [[timestampType, "LogAppendTime"]] })
    const plain = batchOf([at(1), at(5), at(-1)])
    const records = plain.subarray(batchHeaderBytes)
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 3, baseTimestampMs: 1, maxTimestampMs: 5 }
    const packed = codec === "none" ? records : gzipSync(records)
    const fromMs = Date.now()
    const { errorCode, logAppendTimeMs } = await produce(buildBatch({ ...fields, codec }, packed), "log")
    expect(errorCode).toBe(0)
    expect(logAppendTimeMs).toBeGreaterThanOrEqual(fromMs)
    expect(logAppendTimeMs).toBeLessThanOrEqual(Date.now())
    const batch = await fetched("log")
    expect(times(batch)).toEqual([true, logAppendTimeMs])
    expect(crc32c(batch.subarray(21))).toBe(Batch.crc(batch))
    // The records are the producer's still.
    expect(Buffer.from(batch.subarray(batchHeaderBytes)).equals(packed)).toBe(true)
    expect([Batch.compression(batch), Batch.count(batch)]).toEqual([codec, 3])
    expect(await listed("log", -3)).toEqual([0, logAppendTimeMs])
    expect(await listed("log", logAppendTimeMs)).toEqual([0, logAppendTimeMs])
    expect(await listed("log", logAppendTimeMs + 1)).toEqual([-1, -1])
    // Retention goes by it, too.
    const { logs } = kit.shard
    const log = logs.log(kit.broker.directory.byName("log")!.logIds[0]!)
    expect([logs.expiredBefore(log, logAppendTimeMs), logs.expiredBefore(log, logAppendTimeMs + 1)]).toEqual([0, 3])
  })

  it("asks for no bound of their own times", async () => {
    const config = [
      [timestampType, "LogAppendTime"],
      [before, "1000"],
      [after, "1000"]
    ] as const
    await kit.createStream("log", { config })
    expect((await produce(batchOf([at(nowMs + 9 * hourMs), at(0)]), "log")).errorCode).toBe(0)
    await kit.createStream("latest", {
      config: [
        [timestampType, "LogAppendTime"],
        ["cleanup.policy", "compact"]
      ]
    })
    expect(await refusal(batchOf([at(nowMs + 9 * hourMs), at(0, null)]), "latest")).toEqual([
      KafkaError.INVALID_RECORD,
      [1]
    ])
  })

  it("keeps what its batches were given when the setting changes", async () => {
    await kit.createStream("log")
    const set = (value: string) =>
      kit.ask("catalog/0", { _tag: "AlterStream", name: "log", config: [[timestampType, value]] })
    expect((await produce(batchOf([at(nowMs)]), "log")).logAppendTimeMs).toBe(-1)
    await set("LogAppendTime")
    const { logAppendTimeMs } = await produce(batchOf([at(nowMs)]), "log")
    await set("CreateTime")
    expect((await produce(batchOf([at(nowMs + 1)]), "log")).logAppendTimeMs).toBe(-1)
    const all: Array<Uint8Array> = []
    const bytes = await fetched("log")
    Batch.batchesOf(bytes, (start, length) => all.push(bytes.subarray(start, start + length)))
    expect(all.map(times)).toEqual([
      [false, nowMs],
      [true, logAppendTimeMs],
      [false, nowMs + 1]
    ])
  })

  it("tells the first time of a batch that is sent again", async () => {
    await kit.createStream("log", { config: [[timestampType, "LogAppendTime"]] })
    const first = await produce(idempotent(), "log")
    const again = await produce(idempotent(), "log")
    expect([again.baseOffset, again.logAppendTimeMs]).toEqual([0, first.logAppendTimeMs])
  })
})

it("the settings are Kafka's, with its defaults and bounds", async () => {
  const plain = await create([], "plain")
  const shown = new Map(plain.configs!.map(({ name, value }) => [name, value]))
  expect([shown.get(before), shown.get(after)]).toEqual(["9223372036854775807", String(hourMs)])
  expect((await create([{ name: after, value: "0" }], "zero")).errorCode).toBe(0)
  for (const name of [before, after]) {
    expect((await create([{ name, value: "-1" }], "bad")).errorCode).toBe(KafkaError.INVALID_CONFIG)
  }
})
