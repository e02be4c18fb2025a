import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { FaultyJournal, type Fault } from "@logbrook/core/journal/FaultyJournal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { Shards } from "@logbrook/core/shard/Shards"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import { newestState } from "../support/newestState.ts"
import { shown } from "../support/ShardHarness.ts"
import { TestClock } from "../support/TestClock.ts"
import { counter, type CounterCommand, type CounterState, makeCounter, ToyPartition } from "../support/toys.ts"

const start = (limits: Partial<Limits> = {}, faultAt: (commit: number) => Fault | undefined = () => undefined) => {
  const clock = new TestClock()
  const shards = new Shards({
    journals: [new FaultyJournal(new MemoryJournal(clock, 1e9), clock, faultAt)],
    clock,
    limits: { ...defaultLimits, commitPacingMs: 0, ...limits },
    definitions: [ShardActor, makeCounter(), ToyPartition],
    version: "test",
    onPoison: () => undefined,
    onDefect: () => undefined
  })
  shards.recover()
  const shard = shards.all[0]!
  shard.start(() => undefined)
  clock.runTurns()
  const ask = (command: CounterCommand) => Effect.runFork(shards.ask(counter("a"), command, { origin: "test" }))
  const total = () => newestState<CounterState>(shard.actors, counter("a"))?.total ?? 0
  return { clock, shard, ask, total }
}

const exitOf = (fiber: Fiber.RuntimeFiber<number, string>) => Effect.runPromise(Fiber.await(fiber))

describe("an Effect that asks an actor", () => {
  it("succeeds with the reply, fails with the failure, and dies with what the actor throws", async () => {
    const { clock, ask } = start()
    const asked = [ask({ _tag: "Add", n: 3 }), ask({ _tag: "Refuse" }), ask({ _tag: "ThrowInDecide" })]
    clock.runTurns()
    expect((await Promise.all(asked.map(exitOf))).map(shown)).toEqual([
      "ok 3",
      "failed refused",
      "died Error decide is broken"
    ])
  })

  it("succeeds once what was decided is durable, and not before", async () => {
    const { clock, ask, total } = start({}, (commit) => (commit === 2 ? { _tag: "Delay", ms: 10 } : undefined))
    const asked = ask({ _tag: "Add", n: 3 })
    clock.runTurns()
    await Promise.resolve()
    expect([total(), asked.unsafePoll()]).toEqual([3, null])
    clock.advance(10)
    expect(await exitOf(asked)).toEqual(Exit.succeed(3))
  })

  it("waits for room in the inbox, with others in their order", async () => {
    const { clock, shard, ask } = start({ inboxCommandsMax: 1 })
    shard.hold(true)
    const asked = [1, 2, 3].map((n) => ask({ _tag: "Add", n }))
    expect(shard.waiting).toBe(1)
    shard.hold(false)
    clock.runTurns()
    expect((await Promise.all(asked.map(exitOf))).map(shown)).toEqual(["ok 1", "ok 3", "ok 6"])
  })

  it("that is interrupted has not asked if it waited for room, and else is decided all the same", async () => {
    const { clock, shard, ask, total } = start({ inboxCommandsMax: 1 })
    shard.hold(true)
    const [given, waiting] = [ask({ _tag: "Add", n: 1 }), ask({ _tag: "Add", n: 10 })]
    for (const each of [given, waiting]) await Effect.runPromise(Fiber.interrupt(each))
    shard.hold(false)
    clock.runTurns()
    expect([total(), shard.waiting]).toEqual([1, 0])
  })

  it("dies at once when the journal has failed", async () => {
    const { clock, shard, ask } = start({}, (commit) => (commit === 2 ? { _tag: "Refuse", detail: "test" } : undefined))
    ask({ _tag: "Add", n: 1 })
    clock.runTurns()
    expect(shard.isPoisoned).toBe(true)
    expect(shown(await exitOf(ask({ _tag: "Add", n: 1 })))).toBe("died Error the journal has failed")
  })
})
