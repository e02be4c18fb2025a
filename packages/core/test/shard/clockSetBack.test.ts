import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { expect, it } from "vitest"
import { TestClock } from "../support/TestClock.ts"
import { makeCounter } from "../support/toys.ts"

it("commits at once though the clock was set back since the last commit (simulation, seed 478)", () => {
  const clock = new TestClock()
  const shard = new Shard({
    journal: new MemoryJournal(clock),
    clock,
    limits: { ...defaultLimits, commitPacingMs: 5 },
    definitions: [ShardActor, makeCounter()],
    number: 0,
    version: "test",
    onPoison: () => undefined,
    onDefect: (_where, defect) => {
      throw defect as Error
    }
  })
  shard.recover()
  shard.start(() => undefined)
  clock.runTurns()
  clock.setForthMs = -20_000
  let replies = 0
  shard.offer({ to: "counter/1", command: { _tag: "Add", n: 1 }, cause: {}, reply: () => replies++ })
  clock.advance(5)
  expect(replies).toBe(1)
})
