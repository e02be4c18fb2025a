import { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import * as fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { nextEpoch, type FetchSession, type FoundPartition } from "../../src/kafka/FetchSession.ts"
import { evictionMs, FetchSessions, type SessionRequest } from "../../src/kafka/FetchSessions.ts"
import { FetchSessionHandler, type Told } from "../support/FetchSessionHandler.ts"

const slots = 4
let nowMs: number
let evicted: number
let memory: MemoryAccount
let sessions: FetchSessions

const sessionsWith = (memoryBytesMax: number): FetchSessions => {
  memory = new MemoryAccount(memoryBytesMax)
  const counter = { add: (n: number) => void (evicted += n) }
  return new FetchSessions({ kafkaFetchSessionsMax: slots }, { monotonicMs: () => nowMs }, memory, counter)
}

beforeEach(() => {
  nowMs = 1000
  evicted = 0
  sessions = sessionsWith(128 * 1024 * 1024)
})

const askedOf = (partition: number, fetchOffset = 0) => ({
  partition,
  fetchOffset,
  currentLeaderEpoch: -1,
  lastFetchedEpoch: -1,
  partitionMaxBytes: 1000
})

const topicOf = (topic: string, partitions: ReadonlyArray<number>, fetchOffset = 0) => ({
  topic,
  topicId: zeroUuid,
  partitions: partitions.map((partition) => askedOf(partition, fetchOffset))
})

const request = (sessionId: number, sessionEpoch: number, more: Partial<SessionRequest> = {}): SessionRequest => ({
  sessionId,
  sessionEpoch,
  topics: [],
  forgottenTopicsData: [],
  ...more
})

const forgottenOf = (topic: string, partitions: ReadonlyArray<number>) => ({ topic, topicId: zeroUuid, partitions })

const created = (topic: string, partitions: number): FetchSession => {
  const session = sessions.create(
    [
      topicOf(
        topic,
        Array.from({ length: partitions }, (_, i) => i)
      )
    ],
    false
  )
  if (session === undefined) throw new Error("there is no room")
  return session
}

const goesOn = (session: FetchSession, more: Partial<SessionRequest> = {}) =>
  sessions.open(request(session.id, session.epoch, more), false)

const codeOf = (given: SessionRequest, usesTopicIds = false) => {
  const opened = sessions.open(given, usesTopicIds)
  return opened._tag === "Refused" ? opened.errorCode : KafkaError.NONE
}

const partitionsOf = (session: FetchSession) =>
  Array.from(session.partitions, ({ topic, partition }) => [topic, partition])

const found = (more: Partial<FoundPartition> = {}): FoundPartition => ({
  errorCode: 0,
  highWatermark: 10,
  lastStableOffset: 10,
  logStartOffset: 0,
  records: [],
  ...more
})

describe("fetch sessions", () => {
  it("open, go on and end as KIP-227 has them", () => {
    expect(sessions.open(request(0, 0), false)).toEqual({ _tag: "Full", mayCreate: true })
    expect(sessions.open(request(0, -1), false)).toEqual({ _tag: "Full", mayCreate: false })
    const session = created("a", 2)
    expect(goesOn(session)).toEqual({ _tag: "Incremental", session, epoch: 2 })
    expect(goesOn(session)).toEqual({ _tag: "Incremental", session, epoch: 3 })
    expect(codeOf(request(session.id, 2))).toBe(KafkaError.INVALID_FETCH_SESSION_EPOCH)
    expect(codeOf(request(session.id, 4))).toBe(KafkaError.INVALID_FETCH_SESSION_EPOCH)
    expect(codeOf(request(0, 3))).toBe(KafkaError.FETCH_SESSION_ID_NOT_FOUND)
    expect(codeOf(request(session.id ^ 1, 3))).toBe(KafkaError.FETCH_SESSION_ID_NOT_FOUND)
    expect(codeOf(request(session.id, 3), true)).toBe(KafkaError.FETCH_SESSION_TOPIC_ID_ERROR)
    expect(sessions.open(request(session.id, -1), false)).toEqual({ _tag: "Full", mayCreate: false })
    expect(codeOf(request(session.id, 3))).toBe(KafkaError.FETCH_SESSION_ID_NOT_FOUND)
    const other = created("a", 1)
    expect(sessions.open(request(other.id, 0), false)).toEqual({ _tag: "Full", mayCreate: true })
    expect([sessions.size, sessions.partitions, memory.bytes("fetches"), evicted]).toEqual([0, 0, 0, 0])
  })

  it("begin at epoch 1 again behind the last one", () => {
    expect([0, 1, 0x7fff_fffe, 0x7fff_ffff].map(nextEpoch)).toEqual([1, 2, 0x7fff_ffff, 1])
  })

  it("change by what a request names, and end without partitions", () => {
    const session = created("a", 2)
    goesOn(session, { topics: [topicOf("b", [7], 70), topicOf("a", [1], 11)] })
    expect(
      Array.from(session.partitions, ({ topic, partition, fetchOffset }) => [topic, partition, fetchOffset])
    ).toEqual([
      ["a", 0, 0],
      ["a", 1, 11],
      ["b", 7, 70]
    ])
    goesOn(session, {
      topics: [topicOf("a", [0], 5)],
      forgottenTopicsData: [forgottenOf("a", [0, 9]), forgottenOf("c", [0])]
    })
    expect(partitionsOf(session)).toEqual([
      ["a", 1],
      ["b", 7]
    ])
    expect([sessions.partitions, memory.bytes("fetches")]).toEqual([2, session.weighed()])
    const all = [forgottenOf("a", [1]), forgottenOf("b", [7])]
    expect(goesOn(session, { forgottenTopicsData: all })).toEqual({ _tag: "Full", mayCreate: false })
    expect([sessions.size, sessions.partitions, memory.bytes("fetches")]).toEqual([0, 0, 0])
  })

  it("know topics by id where requests do", () => {
    const [one, other] = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"] as const
    const topics = [one, other].map((topicId) => ({ topic: "", topicId, partitions: [askedOf(0)] }))
    const session = sessions.create(topics, true)!
    const forgotten = { topic: "", topicId: one, partitions: [0] }
    sessions.open(request(session.id, 1, { forgottenTopicsData: [forgotten] }), true)
    expect(Array.from(session.partitions, ({ topicId }) => topicId)).toEqual([other])
  })

  it("tell of what is news, and of errors each time", () => {
    const session = created("a", 1)
    const [partition] = session.partitions
    const tells = (more: Partial<FoundPartition>) => session.tells(partition!, found(more))
    const denied = { errorCode: 29, highWatermark: -1, lastStableOffset: -1, logStartOffset: -1 }
    expect([tells({}), tells({})]).toEqual([true, false])
    expect([tells({ highWatermark: 11 }), tells({ highWatermark: 11 }), tells({})]).toEqual([true, false, true])
    expect([tells({ lastStableOffset: 9 }), tells({ lastStableOffset: 9 }), tells({})]).toEqual([true, false, true])
    expect([tells({ logStartOffset: 3 }), tells({ logStartOffset: 3 }), tells({})]).toEqual([true, false, true])
    expect([tells(denied), tells(denied), tells({}), tells({})]).toEqual([true, true, true, false])
    const divergingEpoch = { epoch: 1, endOffset: 2 }
    expect([tells({ divergingEpoch }), tells({ divergingEpoch }), tells({})]).toEqual([true, true, false])
    expect([tells({ records: [new Uint8Array(1)] }), tells({})]).toEqual([true, false])
  })

  it("read those last that were given records", () => {
    const session = created("a", 3)
    const tell = (partition: number, more: Partial<FoundPartition>) =>
      session.tells(session.find({ topic: "a", topicId: zeroUuid }, partition)!, found(more))
    tell(0, { records: [new Uint8Array(1)] })
    tell(1, {})
    expect(partitionsOf(session).map(([, partition]) => partition)).toEqual([1, 2, 0])
    tell(2, { records: [new Uint8Array(1)] })
    expect(partitionsOf(session).map(([, partition]) => partition)).toEqual([1, 0, 2])
  })
})

describe("a full cache of fetch sessions", () => {
  it("gives its places to nobody while its sessions are young", () => {
    for (let i = 0; i < slots; i++) created("a", 1)
    nowMs += evictionMs
    expect(sessions.create([topicOf("a", [0, 1, 2])], false)).toBeUndefined()
    expect([sessions.size, evicted]).toEqual([slots, 0])
  })

  it("gives up the one that nobody uses any more", () => {
    const all = Array.from({ length: slots }, () => created("a", 1))
    nowMs += 10
    for (const used of [all[0]!, all[2]!, all[3]!]) goesOn(used)
    nowMs += evictionMs - 9
    expect(sessions.create([topicOf("a", [0])], false)).toBeDefined()
    expect(all.map((session) => codeOf(request(session.id, session.epoch)))).toEqual([0, 70, 0, 0])
    expect([sessions.size, evicted]).toEqual([slots, 1])
  })

  it("gives up the smallest of the old ones for a larger one", () => {
    const all = [3, 2, 2, 5].map((size) => created("a", size))
    // The third is used only while it is young.
    nowMs += evictionMs
    goesOn(all[2]!)
    nowMs += 1
    for (const used of [all[0]!, all[1]!, all[3]!]) goesOn(used)
    expect(sessions.create([topicOf("a", [0, 1])], false)).toBeUndefined()
    expect(sessions.create([topicOf("a", [0, 1, 2])], false)).toBeDefined()
    expect(all.map((session) => codeOf(request(session.id, session.epoch)))).toEqual([0, 70, 0, 0])
  })

  it("keeps to its account: who has no room gets no session, and one that grows beyond it ends", () => {
    sessions = sessionsWith(200_000)
    const large = topicOf(
      "a",
      Array.from({ length: 100 }, (_, i) => i)
    )
    expect(sessions.create([large], false)).toBeUndefined()
    const session = created("a", 5)
    expect(memory.bytes("fetches")).toBe(session.weighed())
    expect(codeOf(request(session.id, 1, { topics: [large] }))).toBe(KafkaError.FETCH_SESSION_ID_NOT_FOUND)
    expect([sessions.size, sessions.partitions, memory.bytes("fetches"), evicted]).toEqual([0, 0, 0, 1])
  })

  it("makes no session beyond its account, though there are places", () => {
    sessions = sessionsWith(200_000)
    const first = created("a", 12)
    expect(first.weighed()).toBeGreaterThan(memory.budget("fetches") / 2)
    expect(sessions.create([topicOf("a", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])], false)).toBeUndefined()
    expect([sessions.size, memory.bytes("fetches")]).toEqual([1, first.weighed()])
  })

  it("gives up none for one that has no room by itself", () => {
    sessions = sessionsWith(200_000)
    created("a", 5)
    nowMs += 2 * evictionMs
    const large = topicOf(
      "a",
      Array.from({ length: 100 }, (_, i) => i)
    )
    expect(sessions.create([large], false)).toBeUndefined()
    expect([sessions.size, evicted]).toEqual([1, 0])
  })

  it("is of another epoch once it is given up, for a fetch that waits", () => {
    const session = created("a", 2)
    const { epoch } = session
    expect(goesOn(session, { forgottenTopicsData: [forgottenOf("a", [0, 1])] })).toEqual({
      _tag: "Full",
      mayCreate: false
    })
    expect(session.epoch).not.toBe(epoch)
  })

  it("may have no places at all", () => {
    const none = new FetchSessions({ kafkaFetchSessionsMax: 0 }, { monotonicMs: () => nowMs }, memory, { add: () => 0 })
    expect(none.create([topicOf("a", [0])], false)).toBeUndefined()
  })
})

// --- A server of partitions and a client of sessions, whatever happens ---

const partitionsMax = 6

type Step =
  | { readonly _tag: "grow" | "expire" | "break" | "mend" | "want" | "leave" | "consume"; readonly partition: number }
  | { readonly _tag: "fetch"; readonly bytes: number; readonly isLost: boolean }
  | { readonly _tag: "forgets" }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constantFrom("grow", "grow", "expire", "break", "mend", "want", "want", "leave", "consume"),
      partition: fc.nat(partitionsMax - 1)
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("fetch" as const),
      bytes: fc.nat(3),
      isLost: fc.nat(9).map((roll) => roll === 0)
    })
  },
  { weight: 1, arbitrary: fc.constant({ _tag: "forgets" as const }) }
)

interface ServersPartition {
  highWatermark: number
  start: number
  isBroken: boolean
}

const seen = ({ highWatermark, start, isBroken }: ServersPartition): Told =>
  isBroken
    ? { errorCode: 56, highWatermark: -1, logStartOffset: -1 }
    : { errorCode: 0, highWatermark, logStartOffset: start }

/** The part of the handler that is about sessions, over partitions that are numbers; a record is a byte. */
class FakeServer {
  readonly partitions = Array.from({ length: partitionsMax }, (): ServersPartition => ({
    highWatermark: 0,
    start: 0,
    isBroken: false
  }))

  #found(partition: number, fetchOffset: number, bytes: number): FoundPartition {
    const { highWatermark: end } = this.partitions[partition]!
    const told = seen(this.partitions[partition]!)
    const count = told.errorCode === 0 ? Math.min(bytes, Math.max(0, end - fetchOffset)) : 0
    return { ...told, lastStableOffset: told.highWatermark, records: count > 0 ? [new Uint8Array(count)] : [] }
  }

  fetch(given: SessionRequest, bytes: number) {
    const opened = sessions.open(given, false)
    if (opened._tag === "Refused") return { errorCode: opened.errorCode, sessionId: 0, partitions: [] }
    let left = bytes
    const read = (partition: number, fetchOffset: number) => {
      const result = this.#found(partition, fetchOffset, left)
      left -= result.records[0]?.length ?? 0
      const { logStartOffset = -1 } = result
      return { partition, ...result, logStartOffset, count: result.records[0]?.length ?? 0 }
    }
    if (opened._tag === "Incremental") {
      const { session } = opened
      const told = [...session.partitions].flatMap((asked) => {
        const result = read(asked.partition, asked.fetchOffset)
        return session.tells(asked, result) ? [result] : []
      })
      return { errorCode: 0, sessionId: session.id, partitions: told }
    }
    const results = given.topics.flatMap(({ partitions }) =>
      partitions.map(({ partition, fetchOffset }) => read(partition, fetchOffset))
    )
    const session = opened.mayCreate ? sessions.create(given.topics, false) : undefined
    for (const result of results) session?.find({ topic: "t", topicId: zeroUuid }, result.partition)?.tells(result)
    return { errorCode: 0, sessionId: session?.id ?? 0, partitions: results }
  }
}

/** What the client consumes and knows of the partitions, step by step. */
class Run {
  readonly server = new FakeServer()
  readonly client = new FetchSessionHandler()
  readonly positions = new Map<number, number>()
  received = 0

  take(given: Step): void {
    if (given._tag === "fetch") this.#fetch(given.bytes, given.isLost)
    else if (given._tag === "forgets") for (const { id } of sessions.all) sessions.open(request(id, -1), false)
    else this.#change(given._tag, given.partition)
  }

  #change(what: Exclude<Step["_tag"], "fetch" | "forgets">, partition: number): void {
    const own = this.server.partitions[partition]!
    if (what === "grow") own.highWatermark++
    else if (what === "expire") own.start = Math.min(own.start + 1, own.highWatermark)
    else if (what === "want") this.positions.set(partition, this.positions.get(partition) ?? 0)
    else if (what === "leave") this.positions.delete(partition)
    else if (what === "consume" && this.positions.has(partition)) this.positions.set(partition, own.highWatermark)
    else own.isBroken = what === "break"
  }

  #fetch(bytes: number, isLost: boolean): void {
    const sent = this.client.request(this.positions)
    const response = this.server.fetch(
      request(sent.sessionId, sent.sessionEpoch, {
        topics: [{ topic: "t", topicId: zeroUuid, partitions: sent.asked.map(([p, offset]) => askedOf(p, offset)) }],
        forgottenTopicsData: [forgottenOf("t", sent.forgotten)]
      }),
      bytes
    )
    if (isLost) return this.client.lost()
    this.client.answered(response)
    if (response.errorCode !== 0) return
    this.received++
    // A client of a session knows what one without a session is told.
    for (const partition of this.positions.keys()) {
      const [told, actual] = [this.client.told.get(partition), seen(this.server.partitions[partition]!)]
      const isSo =
        told?.errorCode === actual.errorCode &&
        told.highWatermark === actual.highWatermark &&
        told.logStartOffset === actual.logStartOffset
      if (!isSo) expect([partition, told]).toEqual([partition, actual])
    }
    for (const { partition, count } of response.partitions) {
      this.positions.set(partition, this.positions.get(partition)! + count)
    }
  }
}

describe("a client of a session", () => {
  it("knows of each partition what a full fetch would tell, and gets every record", () => {
    let received = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        sessions = sessionsWith(1024 * 1024)
        const run = new Run()
        for (const each of steps) run.take(each)
        for (const own of run.server.partitions) own.isBroken = false
        for (let i = 0; i < 2 * steps.length; i++) run.take({ _tag: "fetch", bytes: 1, isLost: false })
        for (const [partition, position] of run.positions) {
          expect([partition, position]).toEqual([
            partition,
            Math.max(position, run.server.partitions[partition]!.highWatermark)
          ])
        }
        const anew = [...sessions.all].reduce((sum, session) => sum + session.weighed(), 0)
        expect(memory.bytes("fetches")).toBe(anew)
        received += run.received
      }),
      { numRuns: 200 }
    )
    expect(received).toBeGreaterThan(200)
  })
})
