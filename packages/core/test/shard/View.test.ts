import { nameOf } from "@logbrook/core/actor/Definition"
import type { EventOf } from "@logbrook/core/actor/Kind"
import { persistentStates, states } from "@logbrook/core/actor/States"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Shard } from "@logbrook/core/shard/Shard"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { breakTurn } from "../support/breakTurn.ts"
import { HeldJournal } from "../support/HeldJournal.ts"
import { newestState } from "../support/newestState.ts"
import { ShardHarness } from "../support/ShardHarness.ts"
import { TestClock } from "../support/TestClock.ts"
import {
  Counter,
  counter,
  type CounterCommand,
  type CounterState,
  CounterStates,
  makeCounter
} from "../support/toys.ts"
import { turn } from "../support/turn.ts"

const add = (n: number) => ({ _tag: "Add", n }) as const

const heldHarness = () => {
  const clock = new TestClock()
  const journal = new HeldJournal(clock)
  const harness = new ShardHarness({ clock, journal, limits: { commitsInFlightMax: 4 } }).start()
  return { harness, journal, view: harness.shard.view(CounterStates) }
}

describe("a view", () => {
  it("shows what is durable, while commits are held and as each becomes durable", () => {
    const { harness, journal, view } = heldHarness()
    harness.tell("counter/1", add(1))
    harness.run()
    journal.hold()
    for (const n of [10, 100]) {
      harness.tell("counter/1", add(n))
      harness.tell("counter/2", add(n))
      harness.run()
    }
    const shown = () => [view.get(counter(1))?.total, view.get(counter(2))?.total, [...view.all()].length]
    expect(shown()).toEqual([1, undefined, 1])
    journal.makeDurable(1)
    expect(shown()).toEqual([11, 10, 2])
    journal.makeDurable(1)
    expect(shown()).toEqual([111, 110, 2])
    harness.tell("counter/2", { _tag: "Reset" })
    harness.run()
    expect(shown()).toEqual([111, 110, 2])
    journal.release()
    expect(shown()).toEqual([111, undefined, 1])
  })

  it("shows an actor whose last commit is not durable, though it was forgotten meanwhile", () => {
    const { harness, journal, view } = heldHarness()
    harness.tell("counter/1", add(1))
    harness.run()
    journal.hold()
    harness.tell("counter/1", { _tag: "Reset" })
    harness.run()
    harness.advance(61_000)
    harness.tell("counter/2", add(1))
    harness.run()
    expect(newestState(harness.shard.actors, "counter/1")).toBeUndefined()
    expect(Array.from(view.all(), ([actor, { total }]) => [actor, total])).toEqual([["counter/1", 1]])
    journal.release()
    expect(Array.from(view.all(), ([actor]) => actor)).toEqual(["counter/2"])
  })

  it("never shows what a commit that failed would have led to", () => {
    const { harness, journal, view } = heldHarness()
    harness.tell("counter/1", add(1))
    harness.run()
    journal.hold()
    harness.tell("counter/1", add(10))
    harness.run()
    journal.refuse("no space left on device")
    expect([harness.poisons.length, view.get(counter(1))!.total]).toEqual([1, 1])
  })

  it("shows nothing of a turn that threw, before and after the states are rebuilt", () => {
    const { harness, view } = heldHarness()
    harness.tell("counter/1", add(1))
    harness.run()
    harness.tell("counter/1", add(10))
    breakTurn(harness)
    harness.run()
    expect([newestState<CounterState>(harness.shard.actors, "counter/1")!.total, view.get(counter(1))!.total]).toEqual([
      11, 1
    ])
    harness.shard.rebuild()
    expect(view.get(counter(1))!.total).toBe(1)
  })

  it("is had by the states that the kind's definition names, and by no others", () => {
    const { harness } = heldHarness()
    expect(() => harness.shard.view(persistentStates<CounterState>()(Counter))).toThrow(
      "no definition has these states"
    )
    const changing = states<{ readonly queue: Map<number, string> }>()(Counter)
    // @ts-expect-error -- states that change in place cannot be viewed
    expect(() => harness.shard.view(changing)).toThrow()
    // @ts-expect-error -- the state is the kind's own
    const wrong: string | undefined = harness.shard.view(CounterStates).get(counter(1))
    expect(wrong).toBeUndefined()
  })
})

/** Folds what it is told. */
const followed = (shard: Shard) => {
  const { evolve } = makeCounter()
  const folded = new Map<string, CounterState>()
  const none: CounterState = { total: 0, notes: [], deadlines: [] }
  shard.follow(CounterStates, {
    restored: (actor, state) => void folded.set(actor, state),
    event: (actor, event: EventOf<typeof Counter>) => void folded.set(actor, evolve(folded.get(actor) ?? none, event))
  })
  return folded
}

describe("a follower", () => {
  it("is told of each actor that there is, and then of its events", () => {
    const first = new ShardHarness().start()
    first.tell("counter/1", add(1))
    first.tell("counter/2", add(2))
    first.tell("counter/2", { _tag: "Reset" })
    first.run()
    const second = new ShardHarness({ clock: first.clock, journal: first.journal })
    second.shard.recover()
    const told: Array<string> = []
    second.shard.follow(CounterStates, {
      restored: (actor, { total }) => told.push(`${nameOf(actor)} has ${total}`),
      event: (actor, event, seq: Seq) => told.push(`${nameOf(actor)} ${event._tag} ${seq}`)
    })
    expect(told).toEqual(["1 has 1"])
    second.shard.start(() => undefined)
    second.tell("counter/1", add(5))
    second.run()
    expect(told.slice(1)).toEqual([`1 Added ${second.shard.nextSeq - 1}`])
  })

  it("cannot begin while its kind is ahead of the journal", () => {
    const { harness, journal } = heldHarness()
    journal.hold()
    harness.tell("counter/1", add(1))
    harness.run()
    expect(() => followed(harness.shard)).toThrow("ahead of the journal")
    journal.release()
    expect(followed(harness.shard).get("counter/1")).toMatchObject({ total: 1 })
  })
})

type Step =
  | { readonly _tag: "tell"; readonly n: number; readonly command: CounterCommand }
  | { readonly _tag: "turn" }
  | { readonly _tag: "durable"; readonly commits: number }
  | { readonly _tag: "idle" }
  | { readonly _tag: "fault" }

const tagged = <Tag extends string>(tag: Tag): fc.Arbitrary<{ readonly _tag: Tag }> => fc.constant({ _tag: tag })
const key = fc.constantFrom("a", "b")
const command: fc.Arbitrary<CounterCommand> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("Add" as const), n: fc.integer({ min: -2, max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Note" as const), bytes: fc.uint8Array({ maxLength: 3 }) }) },
  { weight: 2, arbitrary: tagged("Reset") },
  { weight: 1, arbitrary: tagged("ThrowInEvolve") },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("AddLater" as const), key, inMs: fc.nat(100_000), n: fc.nat(9) })
  }
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ _tag: fc.constant("tell" as const), n: fc.nat(4), command }) },
  { weight: 8, arbitrary: tagged("turn") },
  {
    weight: 6,
    arbitrary: fc.record({ _tag: fc.constant("durable" as const), commits: fc.integer({ min: 1, max: 2 }) })
  },
  { weight: 1, arbitrary: tagged("idle") },
  { weight: 1, arbitrary: tagged("fault") }
)

const shown = (all: Iterable<readonly [string, CounterState]>) =>
  [...all]
    .filter(([, state]) => !makeCounter().isEmpty(state))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([actor, state]) => [actor, structuredClone(state)])

it("at every durable commit a view, and what is folded of what a follower is told, equal the replay of the journal up to there", async () => {
  const seen = { ahead: 0, packed: 0, faults: 0, commits: 0 }
  const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80, size: "max" }), async (steps) => {
    const { harness, journal, view } = heldHarness()
    const { shard, clock } = harness
    const folded = followed(shard)
    const check = () => {
      const { states: replayed } = harness.replayed(journal.durableSeq)
      const counters = [...replayed].filter(([id]) => id.startsWith("counter/"))
      expect(shown(view.all())).toEqual(counters)
      expect(shown(folded)).toEqual(counters)
      for (let n = 0; n < 5; n++) {
        const newest = newestState<CounterState>(shard.actors, counter(n))?.total ?? 0
        if (newest !== (view.get(counter(n))?.total ?? 0)) seen.ahead++
      }
      seen.packed += shard.actors.passiveCount
    }
    journal.hold()
    for (const each of steps) {
      if (each._tag === "tell") harness.tell(counter(each.n), each.command)
      else if (each._tag === "turn") clock.runTurn()
      else if (each._tag === "durable") {
        seen.commits += Math.min(journal.undurable, each.commits)
        journal.makeDurable(each.commits)
      } else if (each._tag === "idle") clock.advance(61_000)
      else {
        seen.faults++
        breakTurn(harness)
        clock.runTurns()
        while (journal.undurable > 0) {
          journal.makeDurable(1)
          check()
          clock.runTurns()
        }
        check()
        shard.rebuild()
        shard.start(() => undefined)
      }
      check()
    }
  })
  await fc.assert(property.beforeEach(turn), { numRuns: 300 })
  expect(Math.min(seen.ahead, seen.packed, seen.faults, seen.commits)).toBeGreaterThan(20)
})

const append = (harness: ShardHarness) => {
  const bytes = Buffer.from("record")
  harness.tell("partition/7", { _tag: "AppendRecords", count: 2, firstTimestampMs: 1, maxTimestampMs: 1, bytes })
  harness.run()
  return harness.shard.logs.log(7).epochs
}

it("a log has the leader epochs of its partition, as its records are durable and after a start", () => {
  const first = new ShardHarness().start()
  append(first)
  expect(append(first)).toEqual([{ epoch: 1, startOffset: 0 }])
  const second = new ShardHarness({ clock: first.clock, journal: first.journal }).start()
  expect(second.shard.logs.log(7).epochs).toEqual([{ epoch: 1, startOffset: 0 }])
  append(second)
  const both = [
    { epoch: 1, startOffset: 0 },
    { epoch: 2, startOffset: 4 }
  ]
  expect(append(second)).toEqual(both)
  const third = new ShardHarness({ clock: first.clock, journal: first.journal }).start()
  expect([third.shard.logs.log(7).epochs, third.shard.logs.log(7).lastStableOffset]).toEqual([both, 8])
})
