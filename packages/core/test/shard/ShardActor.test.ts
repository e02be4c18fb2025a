import { expect, it } from "vitest"
import { type ShardCommand, ShardActor } from "@logbrook/core/shard/ShardActor"

it("tells a new journal, a stop and a crash apart at its starts", () => {
  const start: ShardCommand = { _tag: "Start", epoch: 1, version: "a" }
  let state = ShardActor.initial("shard/0")
  const told = [start, { _tag: "Stop" } as const, start, start].map((command) => {
    const { events } = ShardActor.decide(state, command, 0)
    for (const event of events) state = ShardActor.evolve(state, event)
    return events[0]
  })
  const started = { _tag: "Started", epoch: 1, version: "a" }
  expect(told).toEqual([
    { ...started, isNew: true },
    { _tag: "Stopped" },
    { ...started, wasStopped: true },
    { ...started, wasStopped: false }
  ])
})
