import { supervise } from "@logbrook/core/shard/supervise"
import { systemClock } from "@logbrook/core/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { describe, expect, it } from "vitest"
import { shown, ShardHarness } from "../support/ShardHarness.ts"
import type { CounterCommand } from "../support/toys.ts"
import { breakTurn } from "../support/breakTurn.ts"
import { newestState } from "../support/newestState.ts"

const add = (n: number): CounterCommand => ({ _tag: "Add", n })
const get: CounterCommand = { _tag: "Get" }
const broken: CounterCommand = { _tag: "ThrowInEvolve" }

describe("an actor whose evolve throws", () => {
  it("refuses that command only and has its state of before, what is not durable too; the others run on", () => {
    const harness = new ShardHarness({
      faultAt: (commit) => (commit === 3 ? { _tag: "Delay", ms: 10 } : undefined)
    }).start()
    harness.ask("a", "counter/1", add(1))
    harness.ask("wait", "counter/1", { _tag: "Wait", key: "k" })
    expect(harness.run()).toEqual(["a ok 1"])
    harness.ask("in flight", "counter/1", add(10))
    harness.clock.runTurns()
    harness.ask("b", "counter/1", add(100))
    harness.ask("broken", "counter/1", broken)
    harness.ask("c", "counter/1", add(1000))
    harness.ask("other", "counter/2", add(1))
    expect(harness.run()).toEqual([])
    expect(harness.advance(10)).toEqual([
      "in flight ok 12",
      "b ok 112",
      "broken died Error counter/1 cannot take this",
      "c ok 1112",
      "other ok 1"
    ])
    expect(harness.defects).toEqual(Array.from({ length: 2 }, () => "counter/1: Error: evolve is broken"))
    // What waits goes on waiting.
    harness.ask("free", "counter/1", { _tag: "Free", key: "k", value: 9 })
    expect(harness.run()).toEqual(["free ok 1113", "wait ok 9"])
    harness.expectReplayIsLive()
  })

  it("decides the command once more, which may have thrown for what was wrong in memory only", () => {
    const switches = { breaksEvolve: false, breaksSave: false, breaksEvolveOnce: false }
    const harness = new ShardHarness({ switches }).start()
    harness.ask("a", "counter/1", add(1))
    harness.run()
    switches.breaksEvolveOnce = true
    harness.ask("b", "counter/1", add(10))
    expect(harness.run()).toEqual(["b ok 11"])
    expect(harness.defects).toEqual(["counter/1: Error: evolve is switched off"])
    harness.expectReplayIsLive()
  })

  it("has its deadlines still", () => {
    const harness = new ShardHarness().start()
    harness.tell("counter/1", { _tag: "AddLater", key: "a", inMs: 100, n: 5 })
    harness.tell("counter/1", broken)
    harness.run()
    harness.advance(100)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 5, deadlines: [] })
    harness.expectReplayIsLive()
  })

  it("is told of a deadline again after a second, when that was what it threw at twice", () => {
    const switches = { breaksEvolve: false, breaksSave: false, breaksDeadlineTimes: 0 }
    const harness = new ShardHarness({ switches }).start()
    harness.tell("counter/1", { _tag: "AddLater", key: "a", inMs: 100, n: 5 })
    harness.tell("counter/1", { _tag: "AddLater", key: "b", inMs: 100, n: 7 })
    harness.run()
    switches.breaksDeadlineTimes = 2
    harness.advance(100)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({
      total: 7,
      deadlines: [["a", expect.any(Number), 5]]
    })
    harness.advance(999)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 7 })
    harness.advance(1)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 12, deadlines: [] })
    harness.advance(10_000)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 12 })
    harness.expectReplayIsLive()
  })

  it("is not told of it again when it has set or cancelled the deadline meanwhile, or was given up", () => {
    const switches = { breaksEvolve: false, breaksSave: false, breaksDeadlineTimes: 0 }
    const harness = new ShardHarness({ switches }).start()
    for (const actor of ["counter/1", "counter/2"] as const) {
      harness.tell(actor, { _tag: "AddLater", key: "a", inMs: 100, n: 5 })
      harness.run()
      switches.breaksDeadlineTimes = 2
      harness.advance(100)
    }
    harness.tell("counter/1", { _tag: "AddLater", key: "a", inMs: 5000, n: 1 })
    harness.tell("counter/2", { _tag: "Cancel", key: "a" })
    harness.run()
    harness.advance(2000)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 0 })
    expect(newestState(harness.shard.actors, "counter/2")).toMatchObject({ total: 0, deadlines: [] })
    harness.advance(3000)
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 1 })
    harness.tell("counter/3", { _tag: "AddLater", key: "a", inMs: 100, n: 5 })
    harness.run()
    switches.breaksDeadlineTimes = Infinity
    harness.advance(20_000)
    expect(harness.shard.failedActors).toEqual(["counter/3"])
    const { length } = harness.defects
    harness.advance(20_000)
    expect(harness.defects.length).toBe(length)
  })

  it("is given up at the sixth time within a minute", () => {
    const harness = new ShardHarness().start()
    harness.tell("counter/1", add(7))
    harness.ask("wait", "counter/1", { _tag: "Wait", key: "k" })
    harness.run()
    for (let restart = 0; restart < 5; restart++) {
      harness.tell("counter/1", broken)
      harness.run()
      expect(harness.shard.actors.get("counter/1")?.health).toBe("running")
    }
    expect(harness.shard.failedActors).toEqual([])
    harness.tell("counter/1", broken)
    expect(harness.run()).toEqual(["wait died Error counter/1 is failed"])
    expect(harness.shard.failedActors).toEqual(["counter/1"])
    expect([harness.shard.isFailed("counter/1"), harness.shard.isFailed("counter/2")]).toEqual([true, false])
    harness.advance(120_000)
    harness.ask("a", "counter/1", get)
    harness.ask("b", "counter/2", add(1))
    expect(harness.run()).toEqual(["a died Error counter/1 is failed", "b ok 1"])
    // What is durable is not lost: the next start has it.
    const next = new ShardHarness({ clock: harness.clock, journal: harness.journal }).start()
    next.ask("a", "counter/1", get)
    expect(next.run()).toEqual(["a ok 8"])
  })

  it("is not given up for restarts that are far apart", () => {
    const harness = new ShardHarness().start()
    for (let restart = 0; restart < 12; restart++) {
      harness.tell("counter/1", broken)
      harness.run()
      harness.advance(20_000)
    }
    expect(harness.shard.failedActors).toEqual([])
    expect(harness.shard.actors.get("counter/1")?.health).toBe("running")
  })

  it("is given up at once when its events do not fold any more, and no snapshot forgets it", () => {
    const switches = { breaksEvolve: false, breaksSave: false }
    const harness = new ShardHarness({ switches }).start()
    harness.tell("counter/1", add(7))
    harness.run()
    switches.breaksEvolve = true
    harness.ask("a", "counter/1", add(1))
    expect(harness.run()).toEqual(["a died Error counter/1 is failed"])
    expect(harness.shard.failedActors).toEqual(["counter/1"])
    expect(() => harness.shard.actors.saved("counter/1")).toThrow("has no state")
  })
})

describe("a turn that throws", () => {
  it("is lost as a whole, tells each of its callers once behind those before, and stops the draining", async () => {
    const harness = new ShardHarness({
      faultAt: (commit) => (commit === 3 ? { _tag: "Delay", ms: 10 } : undefined)
    }).start()
    harness.ask("wait", "counter/1", { _tag: "Wait", key: "k" })
    expect(harness.run()).toEqual([])
    harness.ask("before", "counter/1", add(1))
    harness.clock.runTurns()
    harness.ask("lost", "counter/1", add(10))
    harness.ask("parked", "counter/1", { _tag: "Wait", key: "lost" })
    harness.shard.ack(harness, 1, harness.shard.partitionBatch(7, "mqtt"), 0)
    breakTurn(harness)
    harness.ask("lost too", "counter/1", add(10))
    expect(harness.run()).toEqual([])
    expect(harness.faults).toHaveLength(1)
    harness.ask("later", "counter/1", get)
    expect(harness.run()).toEqual([])
    const died = "died Error the shard restarts"
    expect(harness.advance(10)).toEqual([
      "before ok 2",
      `lost ${died}`,
      `parked ${died}`,
      `lost too ${died}`,
      "ack 1 refused"
    ])
    await harness.shard.completed()
    harness.shard.rebuild()
    expect(harness.heard()).toEqual([`wait ${died}`])
    harness.shard.start(() => undefined)
    expect(harness.run()).toEqual(["later ok 2"])
    expect(harness.shard.epoch).toBe(1)
    harness.expectReplayIsLive()
  })

  it("leaves no state of before behind, also not where idle actors are packed", async () => {
    const harness = new ShardHarness().start()
    for (let i = 0; i < 40; i++) harness.tell(`counter/${i}`, add(1))
    harness.run()
    for (let i = 0; i < 40; i++) harness.tell(`counter/${i}`, add(100))
    breakTurn(harness)
    harness.run()
    await harness.shard.completed()
    harness.shard.rebuild()
    harness.shard.start(() => undefined)
    harness.clock.advance(60_001)
    for (let i = 0; i < 20; i++) {
      harness.ask(`r${i}`, "counter/1", get)
      expect(harness.run()).toEqual([`r${i} ok 1`])
    }
    expect(harness.shard.actors.passiveCount).toBeGreaterThan(30)
    harness.expectReplayIsLive()
  })

  it("leaves deadlines where they were, though the machine's clock was set meanwhile", async () => {
    const harness = new ShardHarness().start()
    harness.tell("counter/1", { _tag: "AddLater", key: "a", inMs: 1000, n: 1 })
    harness.tell("counter/1", { _tag: "AddLater", key: "gone", inMs: 1000, n: 10 })
    harness.advance(400)
    harness.tell("counter/1", { _tag: "Cancel", key: "gone" })
    harness.run()
    harness.clock.setForthMs = 20_000
    breakTurn(harness)
    harness.run()
    await harness.shard.completed()
    harness.shard.rebuild()
    harness.shard.start(() => undefined)
    harness.ask("rebuilt", "counter/1", get)
    expect(harness.advance(599)).toEqual(["rebuilt ok 0"])
    harness.ask("before", "counter/1", get)
    expect(harness.run()).toEqual(["before ok 0"])
    harness.advance(1)
    harness.ask("after", "counter/1", get)
    expect(harness.run()).toEqual(["after ok 1"])
    harness.expectReplayIsLive()
  })

  it("gives those that were given up another chance", async () => {
    const harness = new ShardHarness().start()
    for (let restart = 0; restart < 6; restart++) {
      harness.tell("counter/1", broken)
      harness.run()
      harness.advance(1000)
    }
    expect(harness.shard.failedActors).toEqual(["counter/1"])
    breakTurn(harness)
    harness.run()
    await harness.shard.completed()
    harness.shard.rebuild()
    harness.shard.start(() => undefined)
    expect(harness.shard.failedActors).toEqual([])
    harness.ask("a", "counter/1", add(1))
    expect(harness.run()).toEqual(["a ok 1"])
  })

  it("is followed by a rebuilt shard under supervision, five times", async () => {
    const harness = new ShardHarness()
    harness.shard.recover()
    const faults: Array<unknown> = []
    const replies: Array<string> = []
    // The shard's turns run on the test clock, its restarts on the real one.
    const pump = (): (() => void) => {
      let cancel: () => void
      const again = (): void => {
        harness.clock.advance(1)
        cancel = systemClock.after(1, again)
      }
      again()
      return () => cancel()
    }
    const ask = (command: CounterCommand): Effect.Effect<string> =>
      Effect.async((resume) => {
        const reply = (exit: Exit.Exit<unknown, unknown>) => {
          replies.push(shown(exit))
          resume(Effect.succeed(shown(exit)))
        }
        harness.shard.offer({ to: "counter/1", command, cause: {}, reply })
      })
    const program = Effect.scoped(
      Effect.gen(function* () {
        const fiber = yield* supervise(harness.shard, harness.clock, (fault) => faults.push(fault.defect))
        yield* ask(add(1))
        for (let i = 0; i < 5; i++) {
          breakTurn(harness)
          expect(yield* ask(add(10))).toBe("died Error the shard restarts")
          expect(yield* ask(get)).toBe("ok 1")
        }
        breakTurn(harness)
        yield* ask(get)
        return yield* Fiber.await(fiber)
      })
    )
    const stop = pump()
    const exit = await Effect.runPromise(program)
    stop()
    expect(faults).toHaveLength(6)
    expect(Exit.isFailure(exit)).toBe(true)
    expect(replies).toHaveLength(12)
  })

  it("is followed by nothing once the scope is closed", async () => {
    const harness = new ShardHarness()
    harness.shard.recover()
    await Effect.runPromise(
      Effect.scoped(
        Effect.zipRight(
          supervise(harness.shard, harness.clock, () => undefined),
          Effect.yieldNow()
        )
      )
    )
    harness.ask("a", "counter/1", add(1))
    expect(harness.advance(1000)).toEqual([])
    expect(harness.journal.nextSeq).toBe(1)
  })
})
