import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import { systemClock, type Clock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { expect, it } from "vitest"
import { running } from "./support/parts.ts"

it("a shard that was given up does not keep the server from stopping", async () => {
  let isBroken = false
  const clock: Clock = {
    ...systemClock,
    nowMs: () => {
      if (isBroken) throw new Error("no time")
      return systemClock.nowMs()
    }
  }
  const died: Array<string> = []
  const faults = {
    died: (why: string) => {
      died.push(why)
      isBroken = false
    },
    shardRestarts: () => undefined
  }
  const journal = new MemoryJournal(systemClock)
  const { broker, close } = running({ journal, clock, faults })
  isBroken = true
  broker.shards.unsafeAsk(
    sessionActor("a"),
    { _tag: "Unsubscribe", connectionId: "1", filters: [] },
    {},
    () => undefined
  )
  await expect.poll(() => died).toEqual(["the shard could not be rebuilt: Error: no time"])
  await close()
})
