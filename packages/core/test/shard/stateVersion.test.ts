import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { pack, stateHash, unpack } from "@logbrook/core/actor/pack"
import { ByteWriter } from "@logbrook/core/journal/Bytes"
import { FrameBuilder, readFrame } from "@logbrook/core/journal/Frame"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { stripFrame } from "@logbrook/core/journal/stripFrame"
import { encodePage, Replay, savedActor, type SavedActors } from "@logbrook/core/shard/Replay"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { beforeEach, describe, expect, it } from "vitest"
import { startedShard } from "../support/oneShard.ts"
import { TestClock } from "../support/TestClock.ts"
import { type CounterState, makeCounter } from "../support/toys.ts"

type Rest = Omit<CounterState, "total">

/** How each version saved the total: as a number, as text, and as `sum`. */
const shapes: ReadonlyArray<{ readonly save: (total: number) => object; readonly load: (saved: never) => unknown }> = [
  { save: (total) => ({ total }), load: ({ total }: { readonly total: number }) => total },
  { save: (total) => ({ total: String(total) }), load: ({ total }: { readonly total: string }) => JSON.parse(total) },
  { save: (sum) => ({ sum }), load: ({ sum }: { readonly sum: number }) => sum }
]

const versioned = (stateVersion: number): AnyDefinition => {
  const shape = shapes[stateVersion - 1]!
  return {
    ...makeCounter(),
    stateVersion,
    save: ({ total, notes, deadlines }: CounterState) => ({ ...shape.save(total), notes, deadlines }),
    load: (_id, saved) => {
      const { notes, deadlines } = saved as Rest
      const total = shape.load(saved as never)
      if (typeof total !== "number") throw new Error("saved in another version")
      return { total, notes, deadlines }
    },
    upcastState: (saved, version) => {
      const { notes, deadlines } = saved as Rest
      return { ...shape.save(shapes[version - 1]!.load(saved as never) as number), notes, deadlines }
    }
  }
}

const clock = new TestClock()
let journal: MemoryJournal

beforeEach(() => {
  journal = new MemoryJournal(clock, 1)
})

const append = (fill: (frame: FrameBuilder) => void): void => {
  const frame = new FrameBuilder(journal.nextSeq, 1, 1000)
  fill(frame)
  journal.append(frame.build().commit, () => undefined)
  clock.runTurns()
}

const added = (actor: string, n: number): void =>
  append((frame) => frame.event(actor, 1, pack({ _tag: "Added", n }), {}))

const snapshot = (actors: SavedActors): void => {
  const { nextSeq } = journal
  journal.writePage(nextSeq, 0, encodePage(nextSeq, actors), () => undefined)
  journal.completeSnapshot(nextSeq, 1, () => undefined)
  clock.runTurns()
}

const nothingElse = { notes: [], deadlines: [] }

const totals = (definition: AnyDefinition): ReadonlyArray<readonly [string, number]> =>
  [...new Replay([definition]).run(journal).states].map(([id, state]) => [id, (state as CounterState).total])

describe("a state in a snapshot", () => {
  it("is loaded from every version", () => {
    added("counter/a", 0)
    snapshot([
      savedActor("counter/a", pack({ total: 10, ...nothingElse }), 1),
      savedActor("counter/b", pack({ total: "20", ...nothingElse }), 2),
      savedActor("counter/c", pack({ sum: 30, ...nothingElse }), 3),
      savedActor("counter/d", null, 3)
    ])
    for (const id of ["a", "b", "c", "d"]) added(`counter/${id}`, 1)
    expect(totals(versioned(3))).toEqual([
      ["counter/a", 11],
      ["counter/b", 21],
      ["counter/c", 31],
      ["counter/d", 1]
    ])
  })

  it("of a version that is not known is refused", () => {
    added("counter/a", 0)
    snapshot([savedActor("counter/a", pack({ sum: 30, ...nothingElse }), 3)])
    expect(() => totals(versioned(2))).toThrow(
      expect.objectContaining({
        reason: "UnknownFormat",
        message: "the state of counter/a is of version 3, known up to 2"
      })
    )
  })

  it("goes to load as it is where nothing translates it", () => {
    added("counter/a", 0)
    snapshot([savedActor("counter/a", pack({ sum: 7, ...nothingElse }), 2)])
    const { upcastState, ...plain } = versioned(3)
    expect(upcastState).toBeTypeOf("function")
    expect(totals(plain)).toEqual([["counter/a", 7]])
  })

  it("has no number in version 1, as before there were versions", () => {
    const saved = pack({ total: 1, ...nothingElse })
    expect(encodePage(5, [savedActor("counter/a", saved, 1)]).bytes).toEqual(pack([["counter/a", saved]]))
  })
})

/** Lives for some events with this definition, and stops in order. */
const live = (definition: AnyDefinition, additions: number): void => {
  const defects: Array<unknown> = []
  const definitions = [ShardActor, definition]
  const shard = startedShard({ journal, clock, definitions, onTrouble: (...trouble) => defects.push(trouble) })
  for (let i = 0; i < additions; i++) {
    shard.offer({ to: "counter/a", command: { _tag: "Add", n: 1 }, cause: {} })
    clock.runTurns()
  }
  void shard.drained()
  clock.runTurns()
  shard.stop()
  expect(defects).toEqual([])
}

const compared = (definition: AnyDefinition) => {
  const mismatches: Array<string> = []
  const { states, hashes, uncomparedHashes, comparedEvents } = new Replay([definition], {
    fromStart: true,
    only: (id) => id === "counter/a",
    onMismatch: ({ actor }) => mismatches.push(actor)
  }).run(journal)
  return {
    total: (states.get("counter/a") as CounterState).total,
    mismatches,
    hashes,
    uncomparedHashes,
    comparedEvents
  }
}

describe("a state's hash", () => {
  it("is compared only with what is saved in its version, through all that a journal has lived", () => {
    live(makeCounter(), 33)
    live(versioned(3), 40)
    expect(compared(versioned(3))).toEqual({
      total: 73,
      mismatches: [],
      hashes: 2,
      uncomparedHashes: 2,
      // The hash of the newer version tells of all events before it.
      comparedEvents: 73
    })
    expect(compared(makeCounter())).toMatchObject({
      mismatches: [],
      hashes: 2,
      uncomparedHashes: 2,
      comparedEvents: 33
    })
    // One that changes its shape and does not say so is found.
    const { stateVersion, ...silent } = versioned(3)
    expect([stateVersion, compared(silent).mismatches.length]).toEqual([3, 2])
  })

  it("keeps its version in a frame, also a stripped one, and is as it was in version 1", () => {
    const [older, newer] = [stateHash({ total: 1 }), stateHash({ sum: 1 })]
    const frame = new FrameBuilder(1, 1, 1000)
    frame.hash("counter/a", older)
    frame.hash("counter/a", newer, 300)
    frame.event("counter/a", 1, pack({ _tag: "Added", n: 1 }), {})
    const { frame: bytes } = frame.build().commit
    const expected = [
      [1, "counter/a", older.toString("hex"), 1],
      [2, "counter/a", newer.toString("hex"), 300],
      [3, "counter/a"]
    ]
    for (const each of [bytes, stripFrame(bytes, new ByteWriter())]) {
      const found: Array<unknown> = []
      readFrame(each, {
        hash: (seq, actor, hash, stateVersion) => found.push([seq, actor, hash.toString("hex"), stateVersion]),
        event: (seq, actor) => found.push([seq, actor])
      })
      expect(found).toEqual(expected)
    }
    expect(bytes.subarray(40, 43).toString("hex")).toBe("020000")
  })
})

it("a shard's snapshot tells the version of each state, and the next start loads it", () => {
  const versions = new Set<number | undefined>()
  const writePage = journal.writePage.bind(journal)
  journal.writePage = (fromSeq, index, page, done) => {
    for (const [id, , stateVersion] of unpack(page.bytes) as SavedActors) {
      if (id === "counter/a") versions.add(stateVersion)
    }
    writePage(fromSeq, index, page, done)
  }
  const found: Array<unknown> = []
  for (const definition of [makeCounter(), versioned(2), versioned(3)]) {
    versions.clear()
    live(definition, 3)
    found.push([...versions], totals(definition))
  }
  expect(found).toEqual([[undefined], [["counter/a", 3]], [2], [["counter/a", 6]], [3], [["counter/a", 9]]])
})
