import { ClientKind } from "@logbrook/actors/client/Client"
import { batchHeaderBytes, buildBatch } from "@logbrook/core/RecordBatch"
import { crc32c } from "@logbrook/core/Crc32c"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { gzipSync } from "node:zlib"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { batchOf, startKit, startMs, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, produceOf } from "./requests.ts"

// What no client may pass: the reply or the close, nothing journaled, the next client served.

let kit: Kit
let client: RawClient
let seq: number
let linesBefore: number
/** Events that name a client whose batches were refused: they come within a second, whatever test it is then. */
let told = 0

beforeAll(async () => {
  // What is closed is closed at once: no timer of the server ends within a test.
  kit = await startKit({ limits: { connectTimeoutMs: 3_600_000, frameStallMs: 3_600_000 } })
  await kit.createStream("orders")
  kit.shard.observe(ClientKind, () => void told++)
})

afterAll(() => kit.close())

beforeEach(async () => {
  client = await kit.connect()
  // An event that is on its way counts in `nextSeq` and is not told yet.
  await kit.shard.drained()
  seq = kit.shard.nextSeq - told
  linesBefore = kit.lines.length
})

afterEach(async () => {
  const next = await kit.connect()
  expect((await next.send(ApiVersions, 0, {})).errorCode).toBe(0)
  await expect.poll(() => kit.shard.nextSeq - told).toBe(seq)
  expect(kit.defects).toEqual([])
  expect(kit.lines.filter(({ level }) => level === "error")).toEqual([])
  client.socket.destroy()
  next.socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 60))
})

const newLines = () => kit.lines.slice(linesBefore).filter(({ message }) => message !== "kafka: publications refused")

/** One audit line, no answer, and gone. */
const expectClose = async (bytes: Uint8Array): Promise<void> => {
  client.write(bytes)
  await client.closed()
  const lines = newLines()
  expect(lines.map(({ level, message }) => [level, message])).toEqual([["warn", "kafka: connection closed"]])
  expect(lines[0]!.fields["peer"]).toMatch(/^127\.0\.0\.1:\d+$/)
  expect(client.responses).toHaveLength(0)
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const sized = (hex: string): Buffer => {
  const body = Buffer.from(hex.replaceAll(" ", ""), "hex")
  return Buffer.concat([int32(body.length), body])
}

/** A valid request with the bytes at `at` replaced. */
const patched = (request: Buffer, at: number, bytes: Uint8Array): Buffer => {
  const copy = Buffer.from(request)
  copy.set(bytes, at)
  return copy
}

describe("sizes and headers", () => {
  it.each<[string, Buffer]>([
    ["a negative size", int32(-1)],
    ["a size of zero", int32(0)],
    ["a size of 2 GB", int32(0x7fffffff)],
    ["one byte over the limit", int32(16 * 1024 * 1024 + 1)],
    ["text", Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["an MQTT CONNECT", Buffer.from("100c00044d5154540402003c0000", "hex")],
    ["a request of one byte", sized("00")],
    ["a client id past the end", sized("0012 0000 00000001 7fff 61")],
    ["a client id of length -2", sized("0012 0000 00000001 fffe")],
    ["a client id that is not UTF-8", sized("0012 0000 00000001 0001 ff")],
    ["tags past the end", sized("0012 0003 00000001 ffff ff ff ff ff 0f")],
    ["a tag count of six bytes", sized("0012 0003 00000001 ffff ff ff ff ff ff ff")]
  ])("%s", (_what, bytes) => expectClose(bytes))

  it.each([
    ["an HTTP request", Buffer.from("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["an HTTP request", Buffer.from("POST / HTTP/1.1\r\n\r\n")],
    ["a TLS handshake", Buffer.from("1603010200010001fc0303", "hex")]
  ])("of another protocol is named: %s", async (what, bytes) => {
    await expectClose(bytes)
    expect(newLines()[0]!.fields["reason"]).toBe(`foreign: ${what} came where Kafka's protocol is spoken`)
  })
})

describe("APIs that are not served", () => {
  it.each<[string, Buffer]>([
    ["an unknown key", sized("03e7 0000 00000001 ffff")],
    ["a negative key", sized("ffff 0000 00000001 ffff")],
    ["what only brokers send", sized("0006 0000 00000001 ffff")],
    ["SASL, which is not there", sized("0011 0001 00000001 ffff 0005 504c41494e")],
    ["Metadata 99", sized("0003 0063 00000001 ffff")],
    ["a negative version", sized("0003 ffff 00000001 ffff")],
    ["Produce 2, though it is listed", sized("0000 0002 00000001 ffff")],
    ["Produce 14, of a later Kafka", sized("0000 000e 00000001 ffff 00 00 ffff 00000000 01 00")]
  ])("%s", (_what, bytes) => expectClose(bytes))
})

describe("lengths that lie", () => {
  it.each<[string, () => Buffer]>([
    ["an array of 2^31-1", () => sized("0003 0001 00000001 ffff 7fffffff")],
    ["an array of -2", () => sized("0003 0001 00000001 ffff fffffffe")],
    ["a compact array of 2^32-1", () => sized("0003 0009 00000001 ffff 00 ffffffff0f 00 00 00 00")],
    ["a string past the end", () => sized("0003 0001 00000001 ffff 00000001 7fff 61")],
    ["a string of -1 that may not be null", () => sized("0003 0001 00000001 ffff 00000001 ffff")],
    [
      "records past the end",
      () => {
        const request = client.requestOf(Produce, 3, produceOf("orders", batchOf(["a"])))
        const at = request.length - batchOf(["a"]).length - 4
        return patched(request, at, int32(0x00ff_ffff))
      }
    ],
    ["more arrays than bytes", () => sized("0003 0001 00000001 ffff 000186a0 0001 61")]
  ])("%s", (_what, bytes) => expectClose(bytes()))
})

describe("replicas", () => {
  it.each<[string, () => Promise<number>]>([
    ["Fetch", async () => (await client.send(Fetch, 11, { ...fetchOf("orders"), replicaId: 2 })).errorCode],
    [
      "Fetch 15",
      async () => {
        const replicaState = { replicaId: 0, replicaEpoch: 1 }
        return (await client.send(Fetch, 15, { ...fetchOf({ topicId: "AAAAAAAAAAAAAAAAAAAAAQ" }), replicaState }))
          .errorCode
      }
    ],
    [
      "Fetch 4",
      async () => {
        const { responses } = await client.send(Fetch, 4, { ...fetchOf("orders"), replicaId: 2 })
        return responses[0]!.partitions[0]!.errorCode
      }
    ],
    [
      "ListOffsets",
      async () => {
        const topics = [{ name: "orders", partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
        return (await client.send(ListOffsets, 5, { replicaId: 0, topics })).topics[0]!.partitions[0]!.errorCode
      }
    ],
    [
      "OffsetForLeaderEpoch",
      async () => {
        const topics = [{ topic: "orders", partitions: [{ partition: 0, leaderEpoch: 0 }] }]
        const answer = await client.send(OffsetForLeaderEpoch, 3, { replicaId: 5, topics })
        return answer.topics[0]!.partitions[0]!.errorCode
      }
    ]
  ])("%s as a replica is answered and ended", async (name, ask) => {
    const denied = name.startsWith("Fetch")
      ? KafkaError.CLUSTER_AUTHORIZATION_FAILED
      : KafkaError.TOPIC_AUTHORIZATION_FAILED
    expect(await ask()).toBe(denied)
    await client.closed()
    expect(newLines().map(({ message }) => message)).toEqual(["kafka: connection closed"])
  })
})

it("a question for more groups than are answered", async () => {
  const groups = Array.from({ length: 1001 }, (_, i) => ({ groupId: `${i}`, topics: [] }))
  const answer = await client.send(OffsetFetch, 8, { groups })
  expect(answer.groups).toHaveLength(1000)
  await client.closed()
})

const plain = () => Buffer.from(batchOf(["abc", "def"]))

/** Changed behind the CRC, with a CRC that is right again. */
const resealed = (change: (batch: Buffer) => void): Buffer => {
  const batch = plain()
  change(batch)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

const bomb = (): Uint8Array => {
  const value = "0".repeat(17 * 1024 * 1024)
  const records = Buffer.from(batchOf([""]).subarray(batchHeaderBytes))
  const packed = gzipSync(Buffer.concat([records, Buffer.from(value)]))
  const fields = {
    baseOffset: 0,
    partitionLeaderEpoch: -1,
    count: 1,
    baseTimestampMs: startMs,
    maxTimestampMs: startMs
  }
  return buildBatch({ ...fields, codec: "gzip" }, packed)
}

describe("batches", () => {
  it.each<[string, () => Uint8Array, number]>([
    ["a wrong CRC", () => patched(plain(), 40, Buffer.of(1)), KafkaError.CORRUPT_MESSAGE],
    ["magic 0", () => patched(plain(), 16, Buffer.of(0)), KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT],
    ["magic 1", () => patched(plain(), 16, Buffer.of(1)), KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT],
    ["magic 3", () => patched(plain(), 16, Buffer.of(3)), KafkaError.CORRUPT_MESSAGE],
    ["a length past the end", () => patched(plain(), 8, int32(5000)), KafkaError.CORRUPT_MESSAGE],
    ["a negative length", () => patched(plain(), 8, int32(-5)), KafkaError.CORRUPT_MESSAGE],
    ["a few bytes", () => Buffer.from("abc"), KafkaError.CORRUPT_MESSAGE],
    ["a count that lies", () => resealed((batch) => batch.writeInt32BE(3, 57)), KafkaError.INVALID_RECORD],
    ["a negative count", () => resealed((batch) => batch.writeInt32BE(-1, 57)), KafkaError.INVALID_RECORD],
    ["a last delta that lies", () => resealed((batch) => batch.writeInt32BE(9, 23)), KafkaError.INVALID_RECORD],
    ["a control batch", () => resealed((batch) => batch.writeInt16BE(0x20, 21)), KafkaError.INVALID_RECORD],
    [
      "unknown compression",
      () => resealed((batch) => batch.writeInt16BE(7, 21)),
      KafkaError.UNSUPPORTED_COMPRESSION_TYPE
    ],
    ["compression that is none", () => resealed((batch) => batch.writeInt16BE(1, 21)), KafkaError.CORRUPT_MESSAGE],
    ["LogAppendTime", () => resealed((batch) => batch.writeInt16BE(8, 21)), KafkaError.INVALID_TIMESTAMP],
    ["a decompression bomb", bomb, KafkaError.MESSAGE_TOO_LARGE],
    ["a batch over 1 MiB", () => batchOf(["x".repeat(1024 * 1024 + 12)]), KafkaError.MESSAGE_TOO_LARGE]
  ])("%s", async (_what, records, errorCode) => {
    const { responses } = await client.send(Produce, 9, produceOf("orders", records()))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(errorCode)
  })
})

it("names that are an object's own", async () => {
  const topics = ["__proto__", "constructor", "toString"].map((name) => ({ name }))
  const answer = await client.send(Metadata, 1, { topics })
  expect(answer.topics.map(({ errorCode }) => errorCode)).toEqual([3, 3, 3])
  const { responses } = await client.send(Produce, 9, produceOf("constructor", batchOf(["a"])))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(3)
})

it("a flood of bad clients is not a flood of log", async () => {
  for (let i = 0; i < 60; i++) {
    const other = await kit.connect()
    other.write(int32(-1))
    await other.closed()
  }
  expect(kit.lines.length - linesBefore).toBeLessThan(60)
  expect(kit.lines.length - linesBefore).toBeGreaterThan(10)
})
