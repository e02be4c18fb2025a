import { describe, expect, it } from "vitest"
import type { AnyDefinition } from "../../src/actor/Definition.ts"
import { MemoryAccount } from "../../src/memory/MemoryAccount.ts"
import { ActorTable, type Live } from "../../src/shard/ActorTable.ts"
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

describe("an actor that has nothing to remember", () => {
  const weights: AnyDefinition["weights"] = [{ holder: "sessions", perActor: 500, bytesOf: () => 0 }]
  const counter: AnyDefinition = { ...makeCounter(), weights }

  const emptied = (use: (live: Live) => void) => {
    const account = new MemoryAccount(1_000_000)
    const table = new ActorTable([counter], account)
    const live = table.put("counter/1", counter.initial("counter/1"), 0)
    const heldBytes = account.bytes("sessions")
    use(live)
    table.forgetEmptied(live)
    return { ids: table.ids(), heldBytes, leftBytes: account.bytes("sessions") }
  }

  it("is forgotten, and its room is another's", () => {
    const { ids, heldBytes, leftBytes } = emptied(() => undefined)
    expect(heldBytes).toBeGreaterThan(500)
    expect([ids, leftBytes]).toEqual([[], 0])
  })

  it.each<[string, (live: Live) => void]>([
    ["somebody waits for its reply", (live) => (live.parked = new Map([["key", () => undefined]]))],
    ["somebody will wait for its reply", (live) => live.parking++],
    ["it has been restarted: it must not be, again and again", (live) => (live.restartsMs = [0])],
    ["it was given up", (live) => (live.health = "failed")],
    ["it has something to remember", (live) => (live.state = { ...(live.state as object), total: 1 })]
  ])("stays while %s", (_why, use) => {
    const { ids, heldBytes, leftBytes } = emptied(use)
    expect([ids, leftBytes]).toEqual([["counter/1"], heldBytes])
  })
})
