import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { expect, it } from "vitest"
import { startedShard } from "../support/oneShard.ts"
import { TestClock } from "../support/TestClock.ts"
import { makeCounter } from "../support/toys.ts"

it("commits at once though the clock was set back since the last commit (simulation, seed 478)", () => {
  const clock = new TestClock()
  const shard = startedShard({
    journal: new MemoryJournal(clock),
    clock,
    limits: { commitPacingMs: 5 },
    definitions: [ShardActor, makeCounter()],
    onTrouble: (where, trouble) => expect.fail(`${where} ${String(trouble)}`)
  })
  clock.runTurns()
  clock.setForthMs = -20_000
  let replies = 0
  shard.offer({ to: "counter/1", command: { _tag: "Add", n: 1 }, cause: {}, reply: () => replies++ })
  clock.advance(5)
  expect(replies).toBe(1)
})
