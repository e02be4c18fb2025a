import { unpack } from "@logbrook/core/actor/pack"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import type { QueueFull, SessionCommand, SessionEvent } from "../../src/session/SessionProtocol.ts"
import { turn } from "../../../core/test/support/turn.ts"
import { absentLife } from "../../src/session/sessionMachine.ts"
import { weightOfLife, weightOfQueued } from "../../src/session/sessionWeight.ts"
import {
  cleanEnd,
  connectOf,
  messageOf,
  type Outcome,
  SessionHarness,
  subscriptionOf,
  willOf
} from "./SessionHarness.ts"

const settings = {
  subscriptionsPerSessionMax: 3,
  offlineQueueMessagesMax: 6,
  offlineQueueBytesMax: 100
}

type Step =
  | { readonly _tag: "Command"; readonly of: (life: Life) => SessionCommand }
  | { readonly _tag: "Wait"; readonly ms: number }
  | { readonly _tag: "Restart" }
  | { readonly _tag: "Reload" }

const eventOf = (bytes: Uint8Array) => unpack(bytes) as SessionEvent

/** One random life: connection ids, offsets and will topics are numbered, so that each is told apart. */
class Life {
  readonly session = new SessionHarness(settings)
  /** What the shell was asked to publish, by will id, and has not confirmed. */
  readonly asked = new Map<number, string>()
  readonly publishedWills = new Set<string>()
  /** The entries that the shell knows of, from the last `SessionOpened` on. */
  told = new Set<number>()
  connections = 0
  offsets = 0
  /** What the shell is to hand on, by release id. */
  readonly toHandOn = new Set<number>()
  /** What the shell was told of and has not had counted. */
  dropped: Array<QueueFull> = []
  private folded = 0
  private replica = this.session.definition.initial(this.session.id)

  run(step: Step): void {
    const { session } = this
    if (step._tag === "Restart") session.restart()
    else if (step._tag === "Reload") session.reload()
    else if (step._tag === "Wait") for (const outcome of session.until(session.nowMs + step.ms)) this.heard(outcome)
    else this.heard(session.send(step.of(this)))
    this.check()
  }

  heard({ reply, notices, events }: Outcome): void {
    for (const event of events) {
      if (event._tag === "SharedHandedOn") for (const id of event.releaseIds) this.toHandOn.delete(id)
      if (event._tag !== "WillPublished") continue
      expect(this.asked.get(event.willId!)).toBe(event.topic)
      expect(this.publishedWills).not.toContain(event.topic)
      this.publishedWills.add(event.topic)
    }
    if (reply?._tag === "SessionOpened") this.told = new Set(reply.queue.map(({ entryId }) => entryId))
    for (const notice of notices) {
      if (notice._tag === "QueueFull") this.dropped.push(notice)
      if (notice._tag === "Deliver") for (const { entryId } of notice.entries) this.told.add(entryId)
      if (notice._tag === "HandOn") for (const { releaseId } of notice.messages) this.toHandOn.add(releaseId)
      if (notice._tag !== "PublishWill") continue
      this.asked.set(notice.willId, notice.will.topic)
    }
  }

  check(): void {
    const { session, told } = this
    const { state, definition } = session
    for (; this.folded < session.journal.length; this.folded++) {
      this.replica = definition.evolve(this.replica, eventOf(session.journal[this.folded]!))
    }
    expect(session.saved(this.replica)).toEqual(session.saved())
    const loaded = definition.load(session.id, session.saved())
    expect({ ...loaded, inflight: new Set(loaded.inflight) }).toEqual({ ...state, inflight: new Set(state.inflight) })
    const entries = [...state.queue.values()]
    const rises = entries.every((entry, i) => {
      const before = entries[i - 1]
      return before === undefined || (before.entryId < entry.entryId && before.offset < entry.offset)
    })
    expect(rises, "queue order").toBe(true)
    const given = entries.flatMap(({ packetId, entryId }) => (packetId === null ? [] : [[packetId, entryId] as const]))
    expect(new Set(given.map(([packetId]) => packetId)).size, "packet ids are unique").toBe(given.length)
    expect(new Map(given)).toEqual(new Map([...state.inflight].sort((a, b) => a[1] - b[1])))
    expect(state.queuedBytes).toBe(entries.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(entries.length).toBeLessThanOrEqual(settings.offlineQueueMessagesMax)
    expect(state.queuedBytes).toBeLessThanOrEqual(settings.offlineQueueBytesMax)
    expect(state.subscriptions.size).toBeLessThanOrEqual(settings.subscriptionsPerSessionMax)
    const { pendingWills, released } = state
    const weight = [...entries, ...released].reduce((sum, each) => sum + weightOfQueued(each), 0)
    expect(state.queueBytes).toBe(weight)
    if (state.name === "Absent") {
      const lifeBytes = weightOfLife(absentLife, pendingWills)
      const left = { pendingWills, released, lifeBytes, queueBytes: weight }
      expect(state).toEqual({ ...definition.initial(session.id), ...left })
    }
    expect(new Set(released.map(({ releaseId }) => releaseId))).toEqual(this.toHandOn)
    expect(session.deadlines.has("outbox")).toBe(pendingWills.length > 0 || released.length > 0)
    if (state.name === "Connected") for (const { entryId } of entries) expect(told).toContain(entryId)
    if (state.name === "Disconnected") {
      expect(session.deadlines.get("expire")?.atMs).toBe(state.life.expiresAtMs)
      expect(session.deadlines.get("will")?.atMs ?? null).toBe(state.life.willAtMs)
    }
  }
}

const command = (of: (life: Life) => SessionCommand): Step => ({ _tag: "Command", of })

const packetIds = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 })
const qos = fc.constantFrom(0, 1, 2)

/** The current connection mostly; now and then the one before. */
const connectionOf = (life: Life, isStale: boolean): string => String(life.connections - (isStale ? 1 : 0))
const isStale = fc.integer({ max: 9, min: 0 }).map((n) => n === 0)

const connect = fc
  .record({
    cleanStart: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    sessionExpiryMs: fc.constantFrom(0, 100, 1000, 1000, 1000),
    delayMs: fc.constantFrom(undefined, 0, 50, 5000)
  })
  .map(({ cleanStart, sessionExpiryMs, delayMs }) =>
    command((life) => {
      const connectionId = String(++life.connections)
      const will = delayMs === undefined ? null : willOf(delayMs, { topic: `will/${connectionId}` })
      return connectOf(connectionId, { cleanStart, sessionExpiryMs, will })
    })
  )

const disconnect = fc
  .record({ publishWill: fc.boolean(), sessionExpiryMs: fc.constantFrom(null, null, 0, 500), isStale })
  .map(({ isStale, ...rest }) =>
    command((life) => ({ _tag: "Disconnect", connectionId: connectionOf(life, isStale), end: cleanEnd, ...rest }))
  )

const enqueue = fc
  .record({
    messages: fc.array(
      fc.record({
        qos,
        bytes: fc.integer({ min: 1, max: 40 }),
        share: fc.constantFrom(undefined, undefined, undefined, undefined, "a", "x")
      }),
      { minLength: 1, maxLength: 3 }
    ),
    isWhole: fc.constantFrom(undefined, undefined, undefined, true as const)
  })
  .map(({ messages, isWhole }) =>
    command((life) => ({
      _tag: "Enqueue",
      messages: messages.map(({ share, ...message }) =>
        messageOf(life.offsets++, { ...message, ...(share !== undefined && { share }) })
      ),
      ...(isWhole && { isWhole })
    }))
  )

/** Entries that wait, mostly with ids that are free. */
const markSent = fc
  .record({ count: fc.integer({ min: 1, max: 3 }), base: fc.integer({ min: 1, max: 5 }), isStale })
  .map(({ count, base, isStale }) =>
    command((life) => {
      const waiting = [...life.session.state.queue.values()].filter(({ phase }) => phase === "queued").slice(0, count)
      const entries = waiting.map(({ entryId, qos }, i) => ({ entryId, packetId: qos === 0 ? null : base + i }))
      return { _tag: "MarkSent", connectionId: connectionOf(life, isStale), entries }
    })
  )

const confirmWill = fc
  .constantFrom(null, { reason: "later", isFinal: false }, { reason: "too large", isFinal: true })
  .map((refused) =>
    command((life) => ({
      _tag: "ConfirmWill",
      willId: life.session.state.pendingWills[0]?.willId ?? 99,
      refused
    }))
  )

const noteWillStored = fc.constant(
  command((life) => ({ _tag: "NoteWillStored", willId: life.session.state.pendingWills[0]?.willId ?? 99 }))
)

const confirmHandedOn = fc
  .record({ count: fc.integer({ min: 1, max: 3 }), to: fc.constantFrom("other", null) })
  .map(({ count, to }) =>
    command((life) => ({ _tag: "ConfirmHandedOn", releaseIds: [...life.toHandOn, 99].slice(0, count), to }))
  )

const countDropped = fc.constant(
  command((life) => {
    const startedAtMs = life.dropped.at(-1)?.startedAtMs ?? 0
    const messages = life.dropped.splice(0).flatMap((notice) => notice.messages)
    const ranges = messages.map(({ offset }) => [offset, offset] as const)
    return { _tag: "CountDropped", startedAtMs, count: messages.length, limits: [], logId: 7, ranges }
  })
)

const stream = { topicId: "s", positions: [0, 0], ends: null, untilMs: null, isFullTopic: false }

const readStream = fc
  .record({ bytes: fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 2 }), qos, partition: fc.nat(3), isStale })
  .map(({ bytes, qos, partition, isStale }) =>
    command((life) => {
      const messages = bytes.map((each) => messageOf(life.offsets++, { qos, bytes: each, stream: {} }))
      const positions = [[partition, life.offsets] as const]
      const connectionId = connectionOf(life, isStale)
      return { _tag: "ReadStream", connectionId, filter: "$stream/s", topicId: "s", messages, positions }
    })
  )

const traffic = fc.oneof(
  fc.record({ _tag: fc.constantFrom("Acked" as const, "Received" as const), packetIds }),
  fc.record({
    _tag: fc.constantFrom("ReceiveQos2" as const, "ReleaseQos2" as const),
    packetId: fc.integer({ min: 1, max: 5 })
  }),
  fc.record({
    _tag: fc.constant("Subscribe" as const),
    subscriptions: fc.array(
      fc
        .record({ filter: fc.constantFrom("a", "b/#", "+/c", "d", "$stream/s"), qos })
        .map(({ filter, qos }) => subscriptionOf(filter, { qos, ...(filter === "$stream/s" && { stream }) }))
    ),
    resets: fc.constantFrom([], ["$stream/s"])
  }),
  fc.record({ _tag: fc.constant("Unsubscribe" as const), filters: fc.array(fc.constantFrom("a", "b/#", "x")) })
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: connect },
  { weight: 2, arbitrary: disconnect },
  { weight: 5, arbitrary: enqueue },
  { weight: 3, arbitrary: readStream },
  { weight: 7, arbitrary: markSent },
  {
    weight: 11,
    arbitrary: fc
      .tuple(traffic, isStale)
      .map(([each, isStale]) => command((life) => ({ ...each, connectionId: connectionOf(life, isStale) })))
  },
  { weight: 2, arbitrary: fc.constantFrom(10, 60, 600, 2000).map((ms): Step => ({ _tag: "Wait", ms })) },
  { weight: 1, arbitrary: fc.boolean().map((endSession) => command(() => ({ _tag: "Kick", endSession }))) },
  { weight: 2, arbitrary: confirmWill },
  { weight: 1, arbitrary: noteWillStored },
  { weight: 2, arbitrary: confirmHandedOn },
  { weight: 1, arbitrary: fc.constant(command(() => ({ _tag: "ReleaseShared", share: "a" }))) },
  { weight: 1, arbitrary: countDropped },
  { weight: 1, arbitrary: fc.constantFrom<Step>({ _tag: "Restart" }, { _tag: "Reload" }) }
)

it("a random life is what its journal says, in order, within its limits", async () => {
  const seen = new Set<string>()
  await fc.assert(
    fc
      .asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), async (steps) => {
        const life = new Life()
        life.run(command(() => connectOf(String(++life.connections), { sessionExpiryMs: 1000 })))
        for (const each of steps) life.run(each)
        const tags = life.session.journal.map((bytes) => eventOf(bytes)._tag)
        for (const tag of tags) seen.add(tag)
        const count = (wanted: SessionEvent["_tag"]): number => tags.filter((tag) => tag === wanted).length
        const { pendingWills } = life.session.state
        expect(count("WillTriggered")).toBe(count("WillPublished") + count("WillDropped") + pendingWills.length)
        expect(life.session.saved(life.session.replayed())).toEqual(life.session.saved())
      })
      .beforeEach(turn),
    { numRuns: 200, seed: 20_251 }
  )
  expect([...seen].sort()).toEqual(allEvents)
})

const allEvents = [
  "MessagesAcked",
  "MessagesDropped",
  "MessagesQueued",
  "MessagesReceived",
  "MessagesSent",
  "Qos2Received",
  "Qos2Released",
  "SessionDisconnected",
  "SessionEnded",
  "SessionResumed",
  "SessionStarted",
  "SessionTakenOver",
  "SharedHandedOn",
  "SharedReleased",
  "StreamPositionMoved",
  "Subscribed",
  "Unsubscribed",
  "WillDropped",
  "WillPublished",
  "WillStored",
  "WillTriggered"
]
