import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { Replay } from "@logbrook/core/shard/Replay"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { expect, it } from "vitest"
import { startedShard } from "../support/oneShard.ts"
import { TestClock } from "../support/TestClock.ts"
import { counter, type CounterState, CounterStates, makeCounter } from "../support/toys.ts"
import { newestState } from "../support/newestState.ts"

/** Hands over what its events lead to, off by so much; counts the events that the runtime folds. */
const handing = (folded: { count: number }, off = 0): AnyDefinition => {
  const own: AnyDefinition = makeCounter()
  return {
    ...own,
    decide: (state, command, nowMs) => {
      const decision = own.decide(state, command, nowMs)
      if (decision.events.length === 0) return decision
      const next = decision.events.reduce((each: CounterState, event) => own.evolve(each, event), state)
      return { ...decision, next: { ...next, total: next.total + off } }
    },
    evolve: (state, event) => {
      folded.count++
      return own.evolve(state, event)
    }
  }
}

const live = (definition: AnyDefinition) => {
  const clock = new TestClock()
  const journal = new MemoryJournal(clock)
  const defects: Array<unknown> = []
  const definitions = [ShardActor, definition]
  const onTrouble = (where: string, trouble: unknown): void => void defects.push(`${where} ${String(trouble)}`)
  const shard = startedShard({ journal, clock, definitions, onTrouble })
  const offer = (command: object): void => {
    shard.offer({ to: "counter/a", command: command as never, cause: {} })
  }
  const end = () => {
    clock.runTurns()
    void shard.drained()
    clock.runTurns()
    shard.stop()
    const mismatches: Array<number> = []
    const { states } = new Replay([definition], { onMismatch: ({ seq }) => mismatches.push(seq) }).run(journal)
    return { total: (states.get("counter/a") as CounterState).total, mismatches: mismatches.length, defects }
  }
  return { shard, clock, offer, end }
}

it("a state that a decision hands over is taken, and its events are folded by a replay only", () => {
  const folded = { count: 0 }
  const { shard, clock, offer, end } = live(handing(folded))
  for (const n of [1, 20, 300]) offer({ _tag: "Add", n })
  offer({ _tag: "Get" })
  clock.runTurns()
  expect([shard.view(CounterStates).get(counter("a"))!.total, folded.count]).toEqual([321, 0])
  expect(end()).toEqual({ total: 321, mismatches: 0, defects: [] })
  expect(folded.count).toBe(3)
})

it("a decision whose events cannot be packed leaves the state as it was", () => {
  const { shard, clock, offer, end } = live(handing({ count: 0 }))
  offer({ _tag: "Add", n: 1 })
  offer({ _tag: "PackNothing" })
  clock.runTurns()
  expect(newestState<CounterState>(shard.actors, "counter/a")!.total).toBe(1)
  expect(end()).toMatchObject({ total: 1, mismatches: 0, defects: [expect.stringContaining("counter/a")] })
})

it("a state that the events do not lead to differs from what a replay comes to, and its hash tells", () => {
  const { offer, end } = live(handing({ count: 0 }, 5))
  offer({ _tag: "Add", n: 1 })
  expect(end()).toEqual({ total: 1, mismatches: 1, defects: [] })
})
