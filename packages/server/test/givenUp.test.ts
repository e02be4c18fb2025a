import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import { systemClock, type Clock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { expect, it } from "vitest"
import { Broker, layer } from "../src/composition.ts"
import { built, layerTest } from "./support/parts.ts"

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
  const { context, close } = built(layer.pipe(Layer.provide(layerTest({ journal, clock, faults }))))
  const { shards } = Context.get(context, Broker)
  isBroken = true
  shards.ask(sessionActor("a"), { _tag: "Unsubscribe", connectionId: "1", filters: [] }, {}, () => undefined)
  await expect.poll(() => died).toEqual(["the shard failed too often"])
  await close()
})
