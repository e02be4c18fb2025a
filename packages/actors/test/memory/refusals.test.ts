import { describe, expect, it } from "vitest"
import { weightOfSubscription } from "../../src/session/sessionWeight.ts"
import { connectOf, messageOf, subscriptionOf, willOf } from "../session/SessionHarness.ts"
import { Accounts, commitOf as offsets, joinOf as join, retainedOf } from "./Accounts.ts"

describe("without memory for groups", () => {
  it("a commit that adds something is refused as a whole, one that replaces an offset is taken", () => {
    const server = new Accounts()
    expect(server.send("group/g", offsets("abc"))).toEqual(["OffsetsCommitted"])
    server.fill("groups")
    const before = server.bytes("groups")
    expect(server.send("group/g", offsets("xyz"))).toEqual(["OffsetsCommitted"])
    expect(server.send("group/g", offsets("wxyz"))).toBe("InvalidCommitOffsetSize")
    expect(server.send("group/g", offsets("a", 2))).toBe("InvalidCommitOffsetSize")
    expect(server.send("group/other", offsets(""))).toBe("InvalidCommitOffsetSize")
    expect(server.bytes("groups")).toBe(before)
    expect(server.table.get("group/other")).toBeUndefined()
  })

  it("nobody joins, and who comes back with more metadata loses its place; members leave and groups are deleted", () => {
    const server = new Accounts()
    server.send("group/g", join(""))
    server.send("group/g", { ...join(""), proposedMemberId: "m-0" })
    server.send("group/old", offsets("abc"))
    server.fill("groups")
    expect(server.send("group/g", { ...join(""), proposedMemberId: "m-2" })).toBe("GroupMaxSizeReached")
    expect(server.send("group/new", { ...join(""), requireKnownMemberId: true })).toBe("GroupMaxSizeReached")
    expect(server.send("group/g", join("m-1"))).toEqual(["MemberUpdated"])
    expect(server.send("group/g", join("m-1", 1000))).toBe("UnknownMemberId")
    expect(server.send("group/g", join("m-1"))).toBe("UnknownMemberId")
    const members = [{ memberId: "m-0", groupInstanceId: null, reason: null }]
    expect(server.send("group/g", { _tag: "LeaveMembers", members })).toContain("MemberLeft")
    expect(server.send("group/old", { _tag: "DeleteGroup" })).toEqual(["GroupDeleted"])
    expect(server.account.room("groups")).toBeGreaterThan(0)
  })
})

const subscribe = (...filters: ReadonlyArray<string>) => ({
  _tag: "Subscribe",
  connectionId: "1",
  subscriptions: filters.map((filter) => subscriptionOf(filter))
})

const enqueue = (count: number) => ({
  _tag: "Enqueue",
  messages: Array.from({ length: count }, (_, offset) => messageOf(offset))
})

describe("without memory for sessions", () => {
  it("a new client is refused, and one whose will has grown; one that comes back as it was is not", () => {
    const server = new Accounts()
    const durable = { sessionExpiryMs: 60_000, will: willOf(0) }
    server.send("session/a", connectOf("1", durable))
    server.fill("sessions")
    expect(server.send("session/b", connectOf("2"))).toBe("QuotaExceeded")
    expect(server.send("session/c", connectOf("5", { sessionExpiryMs: 0 }))).toEqual(["SessionStarted"])
    expect(server.send("session/d", connectOf("6", { sessionExpiryMs: 0, will: willOf(0) }))).toBe("QuotaExceeded")
    server.send("session/a", { _tag: "Disconnect", connectionId: "1", publishWill: false, sessionExpiryMs: null })
    server.fill("sessions")
    expect(server.send("session/a", connectOf("3", { sessionExpiryMs: 60_000 }))).toEqual(["SessionResumed"])
    const larger = { ...willOf(0), payload: new Uint8Array(10_000) }
    expect(server.send("session/a", connectOf("4", { ...durable, will: larger }))).toBe("QuotaExceeded")
    expect(server.table.get("session/b")).toBeUndefined()
  })

  it("a takeover whose triggered will would have to be kept beside a new one is refused, and leaves the session as it is", () => {
    const server = new Accounts()
    const durable = { sessionExpiryMs: 60_000, will: willOf(0) }
    server.send("session/a", connectOf("1", durable))
    server.fill("sessions")
    expect(server.send("session/a", connectOf("2", durable))).toBe("QuotaExceeded")
    expect(server.send("session/a", { _tag: "Unsubscribe", connectionId: "1", filters: ["x"] })).toEqual([])
  })

  it("each filter beyond it is refused for itself, what is there may change, and go", () => {
    const server = new Accounts()
    server.send("session/a", connectOf("1"))
    server.send("session/a", subscribe("a/b"))
    const [first, last] = [subscriptionOf("a/c"), subscriptionOf("d")].map(weightOfSubscription)
    server.account.add("sessions", server.account.room("sessions") - (first! + last! - 1))
    const results = <C extends { readonly _tag: string }>(command: C) => {
      const live = server.table.get("session/a")!
      const { reply } = live.definition.decide(live.state, command, 0, server.account.room)
      return (reply as { value: { results: ReadonlyArray<{ grantedQos: number | null }> } }).value.results.map(
        ({ grantedQos }) => grantedQos
      )
    }
    expect(results(subscribe("a/c", "x".repeat(700), "a/b", "d"))).toEqual([1, null, 1, null])
    server.fill("sessions")
    expect(server.send("session/a", subscribe("n"))).toEqual([])
    expect(server.send("session/a", { _tag: "Unsubscribe", connectionId: "1", filters: ["a/b"] })).toEqual([
      "Unsubscribed"
    ])
    expect(server.account.room("sessions")).toBeGreaterThan(0)
  })

  it("what has no room in a queue is dropped and counted", () => {
    const server = new Accounts()
    server.send("session/a", connectOf("1", { sessionExpiryMs: 60_000 }))
    server.send("session/a", { _tag: "Subscribe", connectionId: "1", subscriptions: [subscriptionOf("a")] })
    server.account.add("queues", server.account.room("queues") - 500)
    const { definition, state } = server.table.get("session/a")!
    const { signals } = definition.decide(state, enqueue(5), 0, server.account.room)
    const dropped = [2, 3, 4].map((offset) => ({ logId: 7, offset, limit: "memoryBytesMax" }))
    expect(signals).toContainEqual(expect.objectContaining({ notice: expect.objectContaining({ messages: dropped }) }))
    expect(server.send("session/a", enqueue(5))).toEqual(["MessagesQueued"])
    expect(server.table.get("session/a")!.state).toMatchObject({ queue: { size: 2 } })
  })
})

describe("without memory for queues", () => {
  it("a group's records come back from a session that has ended: that makes room", () => {
    const server = new Accounts()
    const share = "$share/g/$stream/s"
    const group = `streamShare/${share}`
    const records = Array.from({ length: 40 }, (_, offset) => ({ partition: 0, offset }))
    const places = records.map(({ partition, offset }) => [partition, offset])
    const reading = { topicId: "t", positions: [0], ends: null, untilMs: null, isFullTopic: false }
    server.send("session/a", connectOf("1", { sessionExpiryMs: 60_000 }))
    server.send("session/a", subscribe(share))
    server.send(group, { _tag: "Open", reading, resets: false })
    server.send(group, { _tag: "ReadOn", life: 1, positions: [[0, 0, 40]], records })
    server.send("session/a", { _tag: "Enqueue", messages: records.map(({ offset }) => messageOf(offset, { share })) })
    server.send(group, { _tag: "HandOut", records: places, to: "a" })
    expect(server.send("session/a", { _tag: "Kick", endSession: true })).toContain("SharedReleased")
    server.fill("queues")
    expect(server.send(group, { _tag: "TakeBack", topicId: "t", records })).toEqual(["ShareTakenBack"])
    const releaseIds = records.map((_, i) => i + 1)
    expect(server.send("session/a", { _tag: "ConfirmHandedOn", releaseIds, to: share })).toEqual(["SharedHandedOn"])
    expect(server.account.room("queues")).toBeGreaterThan(0)
  })
})

const set = (payload: string) => ({ _tag: "SetRetained", message: retainedOf(Buffer.from(payload)) })

describe("without memory for retained messages", () => {
  it("a topic more and a larger message are refused; one of the same size, and none, are taken", () => {
    const server = new Accounts()
    expect(server.send("retained/a", set("12345"))).toEqual(["RetainedSet"])
    server.fill("retained")
    expect(server.send("retained/a", set("54321"))).toEqual(["RetainedSet"])
    expect(server.send("retained/a", set("123456"))).toBe("QuotaExceeded")
    expect(server.send("retained/b", set("1"))).toBe("QuotaExceeded")
    expect(server.send("retained/a", { _tag: "SetRetained", message: null })).toEqual(["RetainedCleared"])
    expect(server.account.room("retained")).toBeGreaterThan(0)
  })
})

const createStream = (name: string) => ({
  _tag: "CreateStream",
  name,
  topicId: name,
  filters: ["a/#"],
  partitions: 4,
  key: "topic",
  config: [],
  validateOnly: false
})

const appendOf = (producerId: number, isBehind = false) => ({
  _tag: "AppendBatch",
  bytes: new Uint8Array(10),
  count: 1,
  baseTimestampMs: 1,
  maxTimestampMs: 1,
  producerId,
  producerEpoch: 0,
  baseSequence: 0,
  isBehind,
  transaction: undefined,
  timestampType: "CreateTime"
})

describe("without memory for streams", () => {
  it("none is made, nor made larger; one that is deleted makes room", () => {
    const server = new Accounts()
    expect(server.send("catalog/0", createStream("a"))).toEqual(["StreamCreated"])
    server.fill("streams")
    expect(server.send("catalog/0", createStream("b"))).toBe("NoMemory")
    expect(server.send("catalog/0", { ...createStream("b"), validateOnly: true })).toBe("NoMemory")
    expect(server.send("catalog/0", { _tag: "AlterStream", name: "a", filters: ["a/#", "b/#"] })).toBe("NoMemory")
    expect(server.send("catalog/0", { _tag: "AlterStream", name: "a", filters: ["b/#"] })).toEqual(["StreamAltered"])
    expect(server.send("catalog/0", { _tag: "DeleteStream", name: "a" })).toEqual(["StreamDeleted"])
    const { topicId } = createStream("a")
    expect(server.send("catalog/0", { _tag: "ConfirmDeletion", topicId })).toEqual(["DeletionConfirmed"])
    expect(server.send("catalog/0", createStream("b"))).toEqual(["StreamCreated"])
  })

  it("a producer takes the place of the one that was idle for longest in its partition, the first has its own", () => {
    const server = new Accounts()
    server.send("partition/2", appendOf(1))
    server.send("partition/2", appendOf(2))
    server.fill("producers")
    expect(server.send("partition/2", appendOf(3))).toEqual(["ProducersForgotten", "RecordsAppended"])
    expect([
      ...(server.table.get("partition/2")!.state as { producers: Map<number, unknown> }).producers.keys()
    ]).toEqual([2, 3])
    expect(server.send("partition/3", appendOf(4))).toEqual(["RecordsAppended"])
    expect(server.send("partition/3", appendOf(-1))).toEqual(["RecordsAppended"])
  })

  it("a producer's transaction is refused for want of memory for transactions, never of that for producers while one is idle", () => {
    const server = new Accounts()
    const inTransaction = (producerId: number) => ({
      ...appendOf(producerId),
      transaction: { version: 1, isAdded: true }
    })
    server.send("partition/2", appendOf(1))
    server.send("partition/2", appendOf(2))
    server.fill("producers")
    expect(server.send("partition/2", inTransaction(3))).toEqual(["ProducersForgotten", "RecordsAppended"])
    expect([server.bytes("logTransactions"), server.account.room("producers")]).toEqual([280, 0])
    server.fill("logTransactions")
    expect(server.send("partition/2", inTransaction(4))).toBe("TooManyTransactions")
    expect(server.send("partition/2", appendOf(4))).toEqual(["ProducersForgotten", "RecordsAppended"])
  })

  it("a producer that may have been forgotten goes on with what it has sent behind its last batch", () => {
    const server = new Accounts()
    server.send("partition/2", appendOf(1))
    expect(server.send("partition/2", appendOf(2, true))).toBe("OutOfOrderSequenceNumber")
    server.fill("producers")
    expect(server.send("partition/2", appendOf(2, true))).toEqual(["ProducersForgotten", "RecordsAppended"])
  })
})

it("who asks for names that nobody has leaves nothing behind", () => {
  const server = new Accounts()
  for (let n = 0; n < 100; n++)
    server.send(`group/${n}`, { _tag: "FetchOffsets", requireStable: false, partitions: null })
  expect(server.table.liveCount).toBe(0)
  expect(server.bytes("groups")).toBe(0)
})
