import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { describe, expect, it } from "vitest"
import { aKitForEach } from "./aKitForEach.ts"
import { batchOf, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient

aKitForEach((newKit, newClient) => {
  kit = newKit
  client = newClient
})

type Request = RequestInputOf<typeof Fetch>
type Topics = Request["topics"]

const produce = async (stream: string, index: number, value = "a") => {
  const other = await kit.connect()
  const { responses } = await other.send(Produce, 9, produceOf(stream, batchOf([value]), { index }))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
}

const topicOf = (topic: string, offsets: Readonly<Record<number, number>>): Topics[number] => ({
  topic,
  partitions: Object.entries(offsets).map(([partition, fetchOffset]) => ({
    partition: Number(partition),
    fetchOffset,
    partitionMaxBytes: 1024 * 1024
  }))
})

const inSession = (sessionId: number, sessionEpoch: number, topics: Topics, more: Partial<Request> = {}): Request => ({
  ...fetchOf("orders"),
  sessionId,
  sessionEpoch,
  topics,
  ...more
})

const send = (request: Request, version = 11, by = client) => by.send(Fetch, version, request)

/** Of each partition that is answered: its topic, its number, its high watermark or its error, and whether it has records. */
const told = ({ responses }: ResponseOf<typeof Fetch>) =>
  responses.flatMap(({ topic, partitions }) =>
    partitions.map(
      ({ partitionIndex, errorCode, highWatermark, records }) =>
        `${topic}/${partitionIndex} ${errorCode === 0 ? highWatermark : `error ${errorCode}`}${(records?.length ?? 0) > 0 ? " +" : ""}`
    )
  )

describe("an incremental fetch session (KIP-227)", () => {
  it("is answered in full first, and then what is news", async () => {
    await kit.createStream("orders", { partitions: 3 })
    await kit.createStream("payments")
    await produce("orders", 1)
    const first = await send(inSession(0, 0, [topicOf("orders", { 0: 0, 1: 0, 2: 0 }), topicOf("payments", { 0: 0 })]))
    const { sessionId } = first
    expect(sessionId).toBeGreaterThan(0)
    expect(told(first)).toEqual(["orders/0 0", "orders/1 1 +", "orders/2 0", "payments/0 0"])
    const second = await send(inSession(sessionId, 1, [topicOf("orders", { 1: 1 })]))
    expect([second.errorCode, second.sessionId, told(second)]).toEqual([0, sessionId, []])
    await produce("orders", 2)
    await produce("payments", 0)
    const third = await send(inSession(sessionId, 2, []))
    expect(told(third)).toEqual(["orders/2 1 +", "payments/0 1 +"])
    // Forgotten and asked for.
    const forgottenTopicsData = [{ topic: "payments", partitions: [0] }]
    const fourth = await send(inSession(sessionId, 3, [topicOf("orders", { 2: 1, 7: 0 })], { forgottenTopicsData }))
    expect(told(fourth)).toEqual(["orders/7 error 3"])
    // It is of no connection.
    await produce("orders", 0)
    expect(told(await send(inSession(sessionId, 4, []), 11, await kit.connect()))).toEqual([
      "orders/0 1 +",
      "orders/7 error 3"
    ])
  })

  it("tells a high watermark for whose records there was no room, once", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const { sessionId } = await send(inSession(0, 0, [topicOf("orders", { 0: 0, 1: 0 })]))
    for (const index of [0, 1]) await produce("orders", index, "x".repeat(3000))
    const small = { maxBytes: 100 }
    expect(told(await send(inSession(sessionId, 1, [], small)))).toEqual(["orders/0 1 +", "orders/1 1"])
    // The one that was given nothing comes first; the other is not asked for anew.
    expect(told(await send(inSession(sessionId, 2, [topicOf("orders", { 0: 1 })], small)))).toEqual(["orders/1 1 +"])
    expect(told(await send(inSession(sessionId, 3, [topicOf("orders", { 1: 1 })], small)))).toEqual([])
  })

  it("waits for any of its partitions, whichever it is", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const { sessionId } = await send(inSession(0, 0, [topicOf("orders", { 0: 0, 1: 0 })]))
    const waiting = send(inSession(sessionId, 1, [], { maxWaitMs: 20_000 }))
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(client.responses).toHaveLength(1)
    await produce("orders", 1)
    expect(told(await waiting)).toEqual(["orders/1 1 +"])
  })

  it("answers one request after the other: one that is overtaken has the wrong epoch", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const { sessionId } = await send(inSession(0, 0, [topicOf("orders", { 0: 0 })]))
    const waiting = send(inSession(sessionId, 1, [], { maxWaitMs: 20_000 }))
    const other = await kit.connect()
    const overtakes = await send(inSession(sessionId, 2, [topicOf("orders", { 1: 0 })]), 11, other)
    expect(told(overtakes)).toEqual(["orders/1 0"])
    await produce("orders", 0)
    const late = await waiting
    expect([late.errorCode, late.sessionId, told(late)]).toEqual([
      KafkaError.INVALID_FETCH_SESSION_EPOCH,
      sessionId,
      []
    ])
  })

  it("ends when its client says so, or asks for another one", async () => {
    await kit.createStream("orders")
    const opening = inSession(0, 0, [topicOf("orders", { 0: 0 })])
    const { sessionId } = await send(opening)
    const closed = await send(inSession(sessionId, -1, [], { maxWaitMs: 10_000 }))
    expect([closed.errorCode, closed.sessionId, told(closed)]).toEqual([0, 0, []])
    const { sessionId: next } = await send(opening)
    const { sessionId: last } = await send({ ...opening, sessionId: next })
    expect(last).not.toBe(next)
    for (const gone of [sessionId, next]) {
      const refused = await send(inSession(gone, 1, []))
      expect([refused.errorCode, refused.sessionId]).toEqual([KafkaError.FETCH_SESSION_ID_NOT_FOUND, 0])
    }
    await send(inSession(last, -1, []))
    expect(kit.shard.memory.bytes("fetches")).toBe(0)
  })

  it("names topics by id throughout, or never", async () => {
    const { topicId } = await kit.createStream("orders")
    const byId = [{ topicId, partitions: topicOf("", { 0: 0 }).partitions }]
    const named = await send(inSession(0, 0, [topicOf("orders", { 0: 0 })]), 12)
    const withIds = await send(inSession(0, 0, byId), 17)
    for (const [{ sessionId }, version] of [
      [named, 13],
      [withIds, 12]
    ] as const) {
      expect((await send(inSession(sessionId, 1, []), version)).errorCode).toBe(KafkaError.FETCH_SESSION_TOPIC_ID_ERROR)
    }
    await produce("orders", 0)
    expect(told(await send(inSession(withIds.sessionId, 1, []), 17))).toEqual(["/0 1 +"])
  })

  it("says what has become of a topic id: gone, or another topic's name", async () => {
    const { topicId } = await kit.createStream("orders")
    const byId = [{ topicId, partitions: topicOf("", { 0: 0 }).partitions }]
    const { sessionId } = await send(inSession(0, 0, byId), 17)
    await kit.ask("catalog/0", { _tag: "DeleteStream", name: "orders" })
    expect(told(await send(inSession(sessionId, 1, []), 17))).toEqual(["/0 error 3"])
    await kit.createStream("orders")
    expect(told(await send(inSession(sessionId, 2, []), 17))).toEqual(["/0 error 103"])
    // A session that has never seen the topic cannot know its name.
    expect(told(await send(inSession(0, 0, byId), 17))).toEqual(["/0 error 100"])
  })

  it("is counted", async () => {
    await kit.createStream("orders", { partitions: 2 })
    await send(inSession(0, 0, [topicOf("orders", { 0: 0, 1: 0 })]))
    const metrics = kit.broker.metrics.render()
    expect(metrics).toContain("logbrook_kafka_fetch_sessions 1\n")
    expect(metrics).toContain("logbrook_kafka_fetch_session_partitions 2\n")
    expect(metrics).toContain("logbrook_kafka_fetch_sessions_evicted_total 0\n")
    expect(kit.shard.memory.bytes("fetches")).toBeGreaterThan(600)
  })
})
