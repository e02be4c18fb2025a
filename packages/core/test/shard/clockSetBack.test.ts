import type { Clock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { expect, it } from "vitest"
import { TestClock } from "../support/TestClock.ts"
import { makeCounter } from "../support/toys.ts"

it("commits at once though the clock was set back since the last commit (simulation, seed 478)", () => {
  const machine = new TestClock()
  let setBackMs = 0
  const clock: Clock = {
    nowMs: () => machine.nowMs() - setBackMs,
    after: machine.after,
    nextTurn: machine.nextTurn
  }
  const shard = new Shard({
    journal: new MemoryJournal(clock),
    clock,
    limits: { ...defaultLimits, commitPacingMs: 5 },
    definitions: [ShardActor, makeCounter()],
    number: 0,
    version: "test",
    onNotice: () => undefined,
    onPoison: () => undefined,
    onDefect: (_where, defect) => {
      throw defect as Error
    }
  })
  shard.recover()
  shard.start(() => undefined)
  machine.runTurns()
  setBackMs = 20_000
  let replies = 0
  shard.offer({ to: "counter/1", command: { _tag: "Add", n: 1 }, cause: {}, reply: () => replies++ })
  machine.runTurns()
  expect(replies).toBe(1)
})
