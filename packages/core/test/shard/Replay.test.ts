import { pack, stateHash, unpack } from "@logbrook/core/actor/pack"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import {
  encodePage,
  Replay,
  type JournaledEvent,
  type Mismatch,
  type Replayed,
  type ReplayOptions,
  type SavedActors
} from "@logbrook/core/shard/Replay"
import { recoverShard } from "@logbrook/core/shard/recover"
import { beforeEach, describe, expect, it } from "vitest"
import { TestClock } from "../support/TestClock.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"

const definitions = [makeCounter(), ToyPartition]
const clock = new TestClock()

let journal: MemoryJournal

beforeEach(() => {
  journal = new MemoryJournal(clock, 1)
})

/** One commit of events, each `actor` and what it adds. */
const commit = (...events: ReadonlyArray<readonly [actor: string, n: number]>): void => {
  const frame = new FrameBuilder(journal.nextSeq, 3, 1000 + journal.nextSeq)
  for (const [actor, n] of events) frame.event(actor, 1, pack({ _tag: "Added", n }), { origin: "test" })
  journal.append(frame.build().commit, () => undefined)
  clock.runTurns()
}

const saved = (total: number): Buffer => pack({ total, notes: [], deadlines: [] })

const snapshot = (fromSeq: number, ...pages: ReadonlyArray<readonly [seq: number, actors: SavedActors]>): void => {
  pages.forEach(([seq, actors], index) => journal.writePage(fromSeq, index, encodePage(seq, actors), () => undefined))
  journal.completeSnapshot(fromSeq, pages.length, () => undefined)
  clock.runTurns()
}

const commitHash = (total: number, actor = "counter/a"): void => {
  const frame = new FrameBuilder(journal.nextSeq, 3, 1000)
  frame.hash(actor, stateHash({ total, notes: [], deadlines: [] }))
  journal.append(frame.build().commit, () => undefined)
  clock.runTurns()
}

const compared = (options: ReplayOptions = {}): Replayed & { readonly mismatches: ReadonlyArray<Mismatch> } => {
  const mismatches: Array<Mismatch> = []
  const onMismatch = (found: Mismatch): void => void mismatches.push(found)
  return { ...new Replay(definitions, { ...options, onMismatch }).run(journal), mismatches }
}

const totals = (endSeq?: number): Record<string, number> => {
  const { states } = new Replay(definitions, endSeq === undefined ? {} : { endSeq }).run(journal)
  return Object.fromEntries(Array.from(states, ([id, state]) => [id, (state as { total: number }).total]))
}

describe("a replay", () => {
  it("folds events up to a seq, also within a commit", () => {
    commit(["counter/a", 1], ["counter/b", 10], ["counter/a", 2])
    commit(["counter/a", 4])
    expect(totals()).toEqual({ "counter/a": 7, "counter/b": 10 })
    expect([1, 2, 3, 4].map((endSeq) => totals(endSeq))).toEqual([
      {},
      { "counter/a": 1 },
      { "counter/a": 1, "counter/b": 10 },
      { "counter/a": 3, "counter/b": 10 }
    ])
  })

  it("starts at a fuzzy snapshot whose actors changed, came and became empty while its pages were taken", () => {
    commit(["counter/a", 1], ["counter/b", 10], ["counter/gone", 5])
    // Taken from seq 4 on: a before seq 4, b before seq 6, gone when it was empty, new not listed at all.
    commit(["counter/a", 2], ["counter/b", 20])
    commit(["counter/b", 40], ["counter/gone", -5], ["counter/new", 100])
    commit(["counter/gone", 7], ["counter/new", 200])
    snapshot(4, [4, [["counter/a", saved(1)]]], [6, [["counter/b", saved(30)]]], [9, [["counter/gone", null]]])
    const wanted = { "counter/a": 3, "counter/b": 70, "counter/gone": 7, "counter/new": 300 }
    expect(totals()).toEqual(wanted)
    const { states } = new Replay(definitions, { fromStart: true }).run(journal)
    expect(states.get("counter/gone")).toMatchObject({ total: 7 })
    // Its last page knows seq 8: an earlier past is folded from the beginning.
    expect(totals(8)).toEqual({ "counter/a": 3, "counter/b": 70, "counter/gone": 0 })
  })

  it("tells of each event with its seq, time, epoch and cause", () => {
    commit(["counter/a", 1])
    const seen: Array<JournaledEvent> = []
    new Replay(definitions, { onEvent: (event) => seen.push(event) }).run(journal)
    expect(seen).toEqual([
      {
        seq: 1,
        actor: "counter/a",
        timeMs: 1001,
        epoch: 3,
        version: 1,
        cause: { seq: undefined, origin: "test" },
        event: { _tag: "Added", n: 1 }
      }
    ])
  })

  it("finds a state that differs from the journaled hash", () => {
    commit(["counter/a", 1])
    commitHash(1)
    commitHash(2)
    expect(compared()).toMatchObject({ hashes: 2, mismatches: [{ seq: 3, actor: "counter/a" }] })
  })

  it("compares all that is kept with the hashes, where the beginning is gone: from the oldest snapshot", async () => {
    commit(["counter/a", 1])
    commit(["counter/a", 2])
    snapshot(3, [3, [["counter/a", saved(3)]]])
    commit(["counter/a", 4])
    commitHash(8)
    commit(["counter/a", 8])
    snapshot(6, [6, [["counter/a", saved(15)]]])
    commitHash(15)
    await journal.dropOldest()
    await journal.dropOldest()
    expect(journal.firstSeq).toBe(3)
    expect(compared({ fromStart: true })).toMatchObject({
      hashes: 2,
      comparedEvents: 2,
      mismatches: [{ seq: 4, actor: "counter/a" }]
    })
    expect(compared()).toMatchObject({ hashes: 1, comparedEvents: 0, mismatches: [] })
  })

  it("compares the states of a snapshot with the hashes that are in it, where nothing happened in between", () => {
    commit(["counter/a", 1], ["counter/b", 10], ["counter/c", 100])
    commitHash(1, "counter/a")
    commitHash(11, "counter/b")
    commitHash(100, "counter/c")
    commit(["counter/c", 100])
    snapshot(4, [8, [["counter/a", saved(2)]]], [8, [["counter/b", saved(10)]]], [8, [["counter/c", saved(200)]]])
    commit(["counter/a", 4])
    expect(compared()).toMatchObject({
      hashes: 2,
      comparedEvents: 0,
      mismatches: [
        { seq: 4, actor: "counter/a" },
        { seq: 5, actor: "counter/b" }
      ]
    })
  })

  it("refuses a journal whose beginning is gone without a snapshot behind it", async () => {
    commit(["counter/a", 1])
    commit(["counter/a", 2])
    snapshot(3, [3, [["counter/a", saved(3)]]])
    commit(["counter/a", 4])
    await journal.dropOldest()
    expect(totals()).toEqual({ "counter/a": 7 })
    expect(() => totals(2)).toThrow(expect.objectContaining({ reason: "Gap" }))
  })

  it("refuses a journal with a frame missing", () => {
    commit(["counter/a", 1])
    const frame = new FrameBuilder(journal.nextSeq + 1, 3, 1000)
    frame.event("counter/a", 1, pack({ _tag: "Added", n: 1 }), {})
    journal.append(frame.build().commit, () => undefined)
    clock.runTurns()
    expect(() => totals()).toThrow(expect.objectContaining({ reason: "Gap" }))
  })

  it("for a shard refuses actors of a kind that it does not know; for a tool it passes over them", () => {
    commit(["stranger/a", 1], ["counter/a", 1])
    expect(totals()).toEqual({ "counter/a": 1 })
    expect(() => recoverShard({ journal, clock, definitions }, undefined)).toThrow(
      expect.objectContaining({ reason: "UnknownFormat" })
    )
  })
})

describe("packed values", () => {
  it("are read into bytes of their own, since the journal's buffer is overwritten", () => {
    const packed = pack({ bytes: Uint8Array.of(1, 2, 3), text: "abc", n: 2 ** 40, none: null })
    const value = unpack(packed) as { bytes: Buffer; text: string }
    packed.fill(0xff)
    expect(value).toEqual({ bytes: Buffer.of(1, 2, 3), text: "abc", n: 2 ** 40, none: null })
  })

  it("are plain MessagePack", () => {
    expect(pack({ _tag: "Added", n: -1 }).toString("hex")).toBe("82a45f746167a54164646564a16eff")
  })
})
