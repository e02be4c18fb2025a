import { expect, it } from "vitest"
import type { AnyDefinition } from "../../src/actor/Definition.ts"
import { MemoryAccount } from "../../src/memory/MemoryAccount.ts"
import { ActorTable } from "../../src/shard/ActorTable.ts"
import { makeCounter } from "../support/toys.ts"

it("keeps a passive actor whose state cannot be loaded", () => {
  const counter: AnyDefinition = makeCounter()
  let isBroken = false
  const load: AnyDefinition["load"] = (id, saved) => {
    if (isBroken) throw new Error("no memory")
    return counter.load(id, saved)
  }
  const table = new ActorTable([{ ...counter, load }], new MemoryAccount(0))
  const live = table.put("counter/1", { ...(counter.initial("counter/1") as object), total: 7 }, 0)
  table.passivate(live)
  isBroken = true
  expect(() => table.getOrMake("counter/1", 0)).toThrow("no memory")
  isBroken = false
  expect(table.getOrMake("counter/1", 0).state).toMatchObject({ total: 7 })
})
