import { Buffer } from "node:buffer"
import { beforeAll, describe, expect, it, vi } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { makeCatalog } from "@logbrook/actors/catalog/Catalog"
import { makeSession } from "@logbrook/actors/session/Session"
import type { SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import type { SavedSession } from "@logbrook/actors/session/sessionState"
import { pack, stateHash } from "@logbrook/core/actor/pack"
import { stateVersionOf } from "@logbrook/core/actor/savedState"
import { defaultLimits } from "@logbrook/core/Limits"
import { definitions } from "../../src/Broker.ts"
import { eventTypes } from "../../src/tools/eventTypes.ts"
import {
  JournalQueryRefused,
  pastOf,
  type EventFilter,
  type EventView,
  type Past
} from "../../src/tools/journalTools.ts"
import { newestState } from "../../../core/test/support/newestState.ts"
import { forgetDeletedStreams } from "../../src/streams/forgetDeletedStreams.ts"
import { ShardHarness } from "./ShardHarness.ts"
import {
  diffStates,
  endSeqAt,
  eventsFrom,
  eventsPage,
  lastEvents,
  replayAll,
  showEvent,
  stateAt,
  verifyJournal
} from "../support/toolsAtOnce.ts"

const told = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    const { reason, message } = error as JournalQueryRefused
    return `${reason}: ${message}`
  }
  return "nothing"
}

const reasonOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof JournalQueryRefused) return error.reason
    throw error
  }
  return "nothing"
}

const quiet = (): void => undefined

/** The only event of this type. */
const theOnly = (past: Past, type: string): EventView => {
  const { events } = eventsPage(past, 1, 1000, { type })
  expect(events).toHaveLength(1)
  return events[0]!
}

/** A stream with two records, a group that commits twice, a stream that is deleted. */
const lived = async (journal: MemoryJournal): Promise<ShardHarness> => {
  const harness = new ShardHarness(journal)
  forgetDeletedStreams(harness.broker)
  await harness.createStream("sensors", ["sensors/#"], 4)
  await harness.append(3, "one")
  await harness.commitOffset("orders", "sensors", 1, 1)
  await harness.append(3, "two")
  await harness.commitOffset("orders", "sensors", 1, 2)
  await harness.commitOffset("orders", "sensors", 2, 9)
  await harness.createStream("short", [], 1)
  await harness.ask("catalog/0", { _tag: "DeleteStream", name: "short" }, "http DELETE /streams")
  await vi.waitFor(() => expect(newestState(harness.shard.actors, "catalog/0")).toMatchObject({ deletions: [] }))
  await harness.shard.drained()
  return harness
}

describe("journal tools", () => {
  const journal = new MemoryJournal(systemClock)
  const past = pastOf(journal, definitions(defaultLimits))

  beforeAll(async () => void (await lived(journal)))

  it("shows every event once, in order, whatever the pages", () => {
    const whole = eventsPage(past, 1, 1000, {})
    expect(whole.events.map(({ seq }) => seq)).toEqual(whole.events.map((_, i) => whole.events[0]!.seq + i))
    expect(whole).toMatchObject({ hasNext: false, nextSeq: journal.nextSeq })
    const paged: Array<EventView> = []
    let page = eventsPage(past, 0, 3, {})
    for (; ; page = eventsPage(past, page.nextSeq, 3, {})) {
      paged.push(...page.events)
      if (!page.hasNext) break
    }
    expect(paged).toEqual(whole.events)
    expect(lastEvents(past, 2, {}).events).toEqual(whole.events.slice(-2))
  })

  it("filters by kind, actor and type, and finds a partition by its stream's name", () => {
    const records = eventsPage(past, 1, 1000, { actor: "partition/sensors/1" }).events
    expect(records.map(({ actor, type }) => [actor, type])).toEqual([
      ["partition/sensors/1", "RecordsAppended"],
      ["partition/sensors/1", "RecordsAppended"]
    ])
    expect(records[1]!.event).toMatchObject({ stream: "sensors", partition: 1, baseOffset: 1, lastOffset: 1, count: 1 })
    expect(eventsPage(past, 1, 1000, { actor: "partition/3" }).events).toEqual(records)
    expect(eventsPage(past, 1, 1000, { kind: "group" }).events).toHaveLength(3)
    expect(lastEvents(past, 1, { type: "StreamCreated" }).events[0]!.event).toMatchObject({ stream: { name: "short" } })
    expect(reasonOf(() => eventsPage(past, 1, 1, { actor: "partition/sensors/9" }))).toBe("UnknownActor")
    expect(reasonOf(() => eventsPage(past, 1, 1, { actor: "sensors" }))).toBe("InvalidActor")
    expect(reasonOf(() => eventsPage(past, 1, 1, { actor: "nothing/orders" }))).toBe("InvalidActor")
    expect(reasonOf(() => eventsPage(past, 1, 1, { kind: "nothing" }))).toBe("InvalidActor")
  })

  it("refuses what nothing could pass, and says what was meant", () => {
    const { nextSeq } = journal
    for (const ask of [
      (filter: EventFilter) => lastEvents(past, 10, filter),
      (filter: EventFilter) => eventsFrom(past, 1, 10, filter)
    ]) {
      expect(told(() => ask({ type: "StreamCreate" }))).toMatch(/^InvalidType: .*; did you mean StreamCreated\?$/)
      expect(told(() => ask({ kind: "group", type: "StreamCreated" }))).toMatch(
        /^InvalidType: no event of a group .*Rebal/
      )
      expect(told(() => ask({ actor: "group/orders", type: "RecordsAppended" }))).toMatch(/^InvalidType/)
      expect(told(() => ask({ kind: "grup" }))).toMatch(/^InvalidActor: .*; did you mean group\?$/)
      expect(told(() => ask({ kind: "session", actor: "group/orders" }))).toBe(
        "InvalidActor: group/orders is not of the kind session"
      )
      expect(told(() => ask({ actor: "group/oders" }))).toBe(
        `UnknownActor: no event from #1 to #${nextSeq - 1} is of group/oders; did you mean group/orders?`
      )
      expect(told(() => ask({ actor: "partition/sensor/1" }))).toMatch(/did you mean partition\/sensors\/1\?$/)
      expect(told(() => ask({ type: "StateHash" }))).toBe("nothing")
      expect(told(() => ask({ actor: "group/orders", type: "GroupDeleted" }))).toBe("nothing")
    }
    expect(told(() => stateAt(past, "group/oders", { seq: nextSeq - 1 }))).toMatch(/did you mean group\/orders\?$/)
    expect(told(() => eventsFrom(past, nextSeq, 10, { actor: "group/oders" }))).toBe("nothing")
    expect(told(() => eventsFrom(past, nextSeq + 1, 10, {}))).toBe(
      `UnknownEvent: there is no event #${nextSeq + 1}: the journal holds #1 to #${nextSeq - 1}`
    )
  })

  it("names every type of event that there is, of every kind of actor", () => {
    const known = new Set(Object.values(eventTypes).flat())
    for (const { type } of eventsPage(past, 1, 1000, {}).events) expect(known).toContain(type)
    for (const { kind } of past.definitions) {
      const types = eventTypes[kind]!
      expect(types.length).toBeGreaterThan(0)
      for (const type of types) expect(reasonOf(() => eventsPage(past, 1, 1, { kind, type }))).toBe("nothing")
    }
  })

  it("says of nobody who has events that there are none, whatever the filter leaves out", () => {
    const unheardOf = { ...past, actors: () => [] }
    const filter = { actor: "group/orders", type: "MemberJoined" }
    expect(eventsFrom(unheardOf, 1, 10, filter).events).toEqual([])
    expect(lastEvents(unheardOf, 10, filter).events).toEqual([])
    expect(reasonOf(() => lastEvents(unheardOf, 10, { ...filter, actor: "group/nobody" }))).toBe("UnknownActor")
  })

  it("shows what led to an event, up to the request", () => {
    const deleted = theOnly(past, "StreamDeleted")
    const shown = showEvent(past, theOnly(past, "LogDeleted").seq)
    expect(shown.causes).toEqual([deleted])
    expect(shown.origin).toBe("http DELETE /streams")
    expect(reasonOf(() => showEvent(past, journal.nextSeq))).toBe("UnknownEvent")
    expect(reasonOf(() => showEvent(past, 0))).toBe("Expired")
  })

  it("shows a state as it was after each event", () => {
    const [first, second, third] = eventsPage(past, 1, 10, { actor: "group/orders" }).events.map(({ seq }) => seq)
    const offsetsAt = (seq: number): unknown => {
      const { offsets } = stateAt(past, "group/orders", { seq }).state as unknown as {
        offsets: Array<{ offset: number }>
      }
      return offsets.map(({ offset }) => offset)
    }
    expect(offsetsAt(first!)).toEqual([1])
    expect(offsetsAt(second! - 1)).toEqual([1])
    expect(offsetsAt(second!)).toEqual([2])
    expect(offsetsAt(third!)).toEqual([2, 9])
    expect(reasonOf(() => stateAt(past, "group/orders", { seq: first! - 1 }))).toBe("UnknownActor")
    expect(reasonOf(() => stateAt(past, "nothing/orders", { seq: first! }))).toBe("InvalidActor")
    expect(stateAt(past, "partition/sensors/1", { seq: journal.nextSeq - 1 }).state).toMatchObject({ nextOffset: 2 })
  })

  it("says that a kind has no state whose events are all that there is", async () => {
    const journal = new MemoryJournal(systemClock)
    const harness = new ShardHarness(journal)
    await harness.ask("client/a", { _tag: "RecordRefusals", protocol: "mqtt", address: null, refused: [] })
    const own = pastOf(journal, definitions(defaultLimits))
    const last = { seq: journal.nextSeq - 1 }
    const said = "UnknownActor: client/a has no state: its events are all that there is of a client"
    expect(told(() => stateAt(own, "client/a", last))).toBe(said)
    expect(told(() => diffStates(own, "client/a", { seq: 1 }, last))).toBe(said)
    expect(eventsPage(own, 1, 10, { actor: "client/a" }).events).toHaveLength(1)
  })

  it("finds a deleted stream's partition at a point when it was there", () => {
    const { seq } = theOnly(past, "StreamDeleted")
    expect(stateAt(past, "catalog/0", { seq: seq - 1 }).state).toMatchObject({
      streams: [{ name: "sensors" }, { name: "short" }]
    })
    expect(reasonOf(() => stateAt(past, "partition/short/0", { seq: journal.nextSeq - 1 }))).toBe("UnknownActor")
  })

  it("takes a time for a point", () => {
    const { timeMs } = { timeMs: Date.parse(theOnly(past, "LogDeleted").time) }
    expect(endSeqAt(past, { timeMs: timeMs + 1000 })).toBe(journal.nextSeq)
    expect(reasonOf(() => endSeqAt(past, { timeMs: timeMs - 3_600_000 }))).toBe("UnknownEvent")
  })

  it("tells what changed between two points, in any order", () => {
    const [first, second, third] = eventsPage(past, 1, 10, { actor: "group/orders" }).events
    const diff = diffStates(past, "group/orders", { seq: first!.seq }, { seq: third!.seq })
    expect(diff.changes.map(({ path, change }) => `${change} ${path}`)).toEqual(
      expect.arrayContaining(["changed offsets[sensors-1].offset", "added offsets[sensors-2]"])
    )
    expect(diff.events).toEqual([second, third])
    const backwards = diffStates(past, "group/orders", { seq: third!.seq }, { seq: first!.seq })
    expect(backwards).toEqual({ ...diff, isSwapped: true })
    expect(diffStates(past, "group/orders", { seq: third!.seq }, { seq: third!.seq })).toMatchObject({
      changes: [],
      events: []
    })
  })

  it("verifies, and counts what it folds", () => {
    const verified = verifyJournal(past, quiet)
    expect(verified).toMatchObject({ ok: true, failure: null, lastSeq: journal.nextSeq - 1 })
    // After a stop every event has a hash of its actor behind it, but for those of actors that are empty again.
    const { hashes, comparedEvents, events } = verified
    const ofEmpty = eventsPage(past, 1, 1000, { actor: "partition/6" }).events.length
    expect([hashes > 3, comparedEvents]).toEqual([true, events - ofEmpty])
    const counts = replayAll(past, quiet)
    expect(counts.events).toBe(verified.events)
    expect(counts.kinds).toContainEqual({ kind: "group", actors: 1, events: 3 })
    expect(counts.types).toContainEqual({ kind: "partition", type: "RecordsAppended", events: 2 })
  })
})

const appended = async (journal: MemoryJournal, fill: (frame: FrameBuilder) => void): Promise<void> => {
  const frame = new FrameBuilder(journal.nextSeq, 1, systemClock.nowMs())
  fill(frame)
  await new Promise((resolve) => journal.append(frame.build().commit, resolve))
}

describe("verification of a journal that lies", () => {
  const allocated = pack({ _tag: "ProducerIdsAllocated", first: 1, count: 10 })
  const catalogVersion = stateVersionOf(makeCatalog(defaultLimits))

  it("names the actor, the point, and the events since the state last agreed", async () => {
    const journal = new MemoryJournal(systemClock)
    await appended(journal, (frame) => {
      frame.event("catalog/0", 1, allocated, {})
      frame.hash("catalog/0", Buffer.alloc(8), catalogVersion)
    })
    const past = pastOf(journal, definitions(defaultLimits))
    const { ok, failure } = verifyJournal(past, quiet)
    expect(ok).toBe(false)
    expect(failure).toMatchObject({ actor: "catalog/0", seq: 2 })
    expect(failure!.suspects.map(({ seq }) => seq)).toEqual([1])
  })

  it("is not content with nothing to compare, and says how much it has compared", async () => {
    const journal = new MemoryJournal(systemClock)
    const past = pastOf(journal, definitions(defaultLimits))
    expect(verifyJournal(past, quiet)).toMatchObject({ ok: false, hashes: 0, comparedEvents: 0, failure: null })
    const harness = new ShardHarness(journal)
    const commit = async (times: number): Promise<void> => {
      for (let i = 0; i < times; i++) await harness.commitOffset("orders", "sensors", 0, i)
    }
    await commit(31)
    expect(verifyJournal(past, quiet)).toMatchObject({ ok: false, hashes: 0, comparedEvents: 0, failure: null })
    await commit(5)
    const verified = verifyJournal(past, quiet)
    // The start is an event, too.
    expect(verified).toMatchObject({ ok: true, events: 37, hashes: 1, comparedEvents: 32 })
    await harness.shard.drained()
    expect(verifyJournal(past, quiet)).toMatchObject({ ok: true, events: 38, hashes: 3, comparedEvents: 38 })
  })

  it("passes over hashes of states in another version of their shape, and counts them", async () => {
    const journal = new MemoryJournal(systemClock)
    await appended(journal, (frame) => {
      frame.event("catalog/0", 1, allocated, {})
      frame.hash("catalog/0", Buffer.alloc(8), 200)
    })
    const past = pastOf(journal, definitions(defaultLimits))
    expect(verifyJournal(past, quiet)).toMatchObject({ ok: false, hashes: 0, uncomparedHashes: 1, failure: null })
    expect(showEvent(past, 2).event.event).toEqual({ _tag: "StateHash", hash: "0000000000000000", stateVersion: 200 })
    await appended(journal, (frame) => frame.hash("catalog/0", Buffer.alloc(8), catalogVersion))
    // Suspected are all events since a hash that could be compared.
    const { failure } = verifyJournal(past, quiet)
    expect(failure!.suspects.map(({ seq }) => seq)).toEqual([1])
  })

  it("passes over hashes of sessions whose packet ids were saved in the order in which they had come", async () => {
    const [journal, before] = [new MemoryJournal(systemClock), [7, 3]]
    const session = makeSession()
    const settings = { connectionId: "1.1", sessionExpiryMs: 60_000, will: null, keepAliveMs: 0, protocolVersion: 5 }
    const events = [
      { _tag: "SessionStarted", ...settings, atMs: 0 } as const,
      ...before.map((packetId) => ({ _tag: "Qos2Received", packetId }) as const)
    ] as ReadonlyArray<SessionEvent>
    const saved = session.save(events.reduce(session.evolve, session.initial("session/a"))) as SavedSession
    expect(saved.unreleasedQos2).toEqual([3, 7])
    await appended(journal, (frame) => {
      for (const event of events) frame.event("session/a", 1, pack(event), {})
      frame.hash("session/a", stateHash({ ...saved, unreleasedQos2: before }))
      frame.hash("session/a", stateHash(saved), stateVersionOf(session))
    })
    const verified = verifyJournal(pastOf(journal, definitions(defaultLimits)), quiet)
    expect(verified).toMatchObject({ ok: true, hashes: 1, uncomparedHashes: 1, failure: null })
  })

  it("names the event that its actor does not take", async () => {
    const journal = new MemoryJournal(systemClock)
    await appended(journal, (frame) => {
      frame.event("catalog/0", 1, allocated, {})
      frame.event("group/orders", 1, pack({ _tag: "AssignmentStored", generation: 1, assignments: [] }), {})
    })
    const { ok, failure } = verifyJournal(pastOf(journal, definitions(defaultLimits)), quiet)
    expect(ok).toBe(false)
    expect(failure).toMatchObject({ actor: "group/orders", seq: 2 })
    expect(failure!.message).toContain("AssignmentStored")
  })
})
