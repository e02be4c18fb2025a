import { kind } from "@logbrook/core/actor/Kind"
import type { Definition } from "@logbrook/core/actor/Definition"
import { pack } from "@logbrook/core/actor/pack"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { encodePage, Replay, type JournaledEvent } from "@logbrook/core/shard/Replay"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import * as Exit from "effect/Exit"
import { beforeEach, expect, it } from "vitest"
import { startedShard } from "../support/oneShard.ts"
import { TestClock } from "../support/TestClock.ts"

interface MeterState {
  readonly wattHours: number
  readonly readings: number
}

interface Read {
  readonly _tag: "Read"
  readonly wattHours: number
}

type OlderEvent =
  /** 1: whole kilowatt hours. */
  | { readonly _tag: "Read"; readonly kilowattHours: number }
  /** 2: another name for the same. */
  | { readonly _tag: "Measured"; readonly wattHours: number }

interface Measure {
  readonly _tag: "Measure"
  readonly wattHours: number
}

const Meter = kind<{
  command: Measure
  replies: { readonly Measure: number }
  failure: never
  event: Read
  notice: never
}>()("meter")

/** `fails`: the first fold throws. */
const makeMeter = (fails = { once: false }): Definition<typeof Meter, MeterState> => ({
  kind: Meter.name,
  version: 3,
  initial: () => ({ wattHours: 0, readings: 0 }),
  decide: (state, { wattHours }) => ({
    events: [{ _tag: "Read", wattHours }],
    reply: Exit.succeed(state.wattHours + wattHours),
    signals: []
  }),
  upcast: (event, version) => {
    const older = event as OlderEvent
    if (older._tag === "Measured") return { _tag: "Read", wattHours: older.wattHours }
    return version === 1 ? { _tag: "Read", wattHours: older.kilowattHours * 1000 } : (event as Read)
  },
  evolve: (state, event) => {
    if (fails.once) {
      fails.once = false
      throw new Error("once")
    }
    return { wattHours: state.wattHours + event.wattHours, readings: state.readings + 1 }
  },
  resume: () => [],
  save: (state) => state,
  load: (_id, saved) => saved as MeterState,
  isEmpty: ({ readings }) => readings === 0
})

const clock = new TestClock()
let journal: MemoryJournal

beforeEach(() => {
  journal = new MemoryJournal(clock, 1)
})

const commit = (...events: ReadonlyArray<readonly [version: number, event: OlderEvent | Read]>): void => {
  const frame = new FrameBuilder(journal.nextSeq, 1, 1000)
  for (const [version, event] of events) frame.event("meter/a", version, pack(event), {})
  journal.append(frame.build().commit, () => undefined)
  clock.runTurns()
}

const ofAllVersions = (): void => {
  commit([1, { _tag: "Read", kilowattHours: 2 }], [2, { _tag: "Measured", wattHours: 30 }])
  commit([3, { _tag: "Read", wattHours: 4 }])
}

it("folds events of older versions as the newest one has them, and tells of them as they were journaled", () => {
  ofAllVersions()
  const seen: Array<JournaledEvent> = []
  const { states } = new Replay([makeMeter()], { onEvent: (event) => seen.push(event) }).run(journal)
  expect(states.get("meter/a")).toEqual({ wattHours: 2034, readings: 3 })
  expect(seen.map(({ version, event }) => [version, event])).toEqual([
    [1, { _tag: "Read", kilowattHours: 2 }],
    [2, { _tag: "Measured", wattHours: 30 }],
    [3, { _tag: "Read", wattHours: 4 }]
  ])
})

it("gives them to evolve as they are where nothing translates them", () => {
  commit([1, { _tag: "Read", wattHours: 5 }])
  const { upcast, ...plain } = makeMeter()
  expect(upcast).toBeTypeOf("function")
  const { states } = new Replay([plain]).run(journal)
  expect(states.get("meter/a")).toEqual({ wattHours: 5, readings: 1 })
})

it("refuses events of a newer version, unless a snapshot has them in its state already", () => {
  commit([4, { _tag: "Read", wattHours: 1 }])
  expect(() => new Replay([makeMeter()]).run(journal)).toThrow(
    expect.objectContaining({ reason: "UnknownFormat", message: "seq 1: a meter event of version 4, known up to 3" })
  )
  const saved = pack({ wattHours: 1, readings: 1 })
  journal.writePage(2, 0, encodePage(2, [["meter/a", saved]]), () => undefined)
  journal.completeSnapshot(2, 1, () => undefined)
  clock.runTurns()
  commit([3, { _tag: "Read", wattHours: 2 }])
  expect(new Replay([makeMeter()]).run(journal).states.get("meter/a")).toEqual({ wattHours: 3, readings: 2 })
})

it("starts a shard with an old journal, goes on in the newest version, and restarts an actor from both", () => {
  ofAllVersions()
  const fails = { once: false }
  const answers: Array<unknown> = []
  const shard = startedShard({
    journal,
    clock,
    definitions: [ShardActor, makeMeter(fails)],
    onTrouble: (where, trouble) => answers.push(`${where} ${String(trouble)}`)
  })
  const reply = (exit: Exit.Exit<unknown, unknown>): void =>
    void answers.push(Exit.isSuccess(exit) ? exit.value : String(exit))
  const measure = (wattHours: number): void => {
    shard.offer({ to: "meter/a", command: { _tag: "Measure", wattHours }, cause: {}, reply })
    clock.runTurns()
  }
  measure(100)
  fails.once = true
  measure(200)
  expect(answers).toEqual([2134, "meter/a Error: once", 2334])
  shard.stop()
  const { states } = new Replay([makeMeter()]).run(journal)
  expect(states.get("meter/a")).toEqual({ wattHours: 2334, readings: 5 })
})
