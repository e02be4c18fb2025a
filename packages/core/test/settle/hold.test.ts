import { expect, it } from "vitest"
import { ShardHarness } from "../support/ShardHarness.ts"

it("a shard that is held decides nothing and loses nothing, and its callers wait for room", () => {
  const harness = new ShardHarness({ limits: { inboxCommandsMax: 3 } }).start()
  const commits = harness.journal.nextSeq
  harness.shard.hold(true)
  for (const name of ["a", "b", "c"]) harness.ask(name, "counter/x", { _tag: "Add", n: 1 })
  expect(harness.shard.hasRoom).toBe(false)
  let hasRoom = false
  harness.shard.whenRoom(() => (hasRoom = true))
  expect(harness.advance(10_000)).toEqual([])
  expect([harness.journal.nextSeq, hasRoom]).toEqual([commits, false])
  harness.shard.hold(false)
  expect(harness.run()).toEqual(["a ok 1", "b ok 2", "c ok 3"])
  expect(hasRoom).toBe(true)
})
