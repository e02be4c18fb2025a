import * as v8 from "node:v8"
import * as vm from "node:vm"
import { makeSession } from "@logbrook/actors/session/Session"
import type { SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import { sessionActor } from "@logbrook/actors/session/SessionProtocol"
import { pack, unpack } from "@logbrook/core/actor/pack"
import { defaultLimits } from "@logbrook/core/Limits"
import { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ActorTable } from "@logbrook/core/shard/ActorTable"
import type { Shards } from "@logbrook/core/shard/Shards"
import { describe, expect, it } from "vitest"
import { SessionDirectory } from "../../src/mqtt/SessionDirectory.ts"

v8.setFlagsFromString("--expose-gc")
const collectGarbage = vm.runInNewContext("gc") as () => void

const used = (): number => {
  collectGarbage()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const definition = makeSession()
const settings = {
  connectionId: "1.1",
  sessionExpiryMs: 1e9,
  will: null,
  keepAliveMs: 6e4,
  protocolVersion: 5
} as const
const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, subscriptionId: null } as const

/** As a start loads them from a snapshot. */
const loaded = function* (count: number, filtersOf: (n: number) => ReadonlyArray<string>) {
  for (let n = 0; n < count; n++) {
    const id = sessionActor(`client-${n}`)
    const subscriptions = filtersOf(n).map((filter) => ({ filter, ...options }))
    const events: ReadonlyArray<SessionEvent> = [
      { _tag: "SessionStarted", ...settings, atMs: 2e12 },
      { _tag: "Subscribed", subscriptions },
      {
        _tag: "SessionDisconnected",
        connectionId: "1.1",
        cause: "Closed",
        sessionExpiryMs: 1e9,
        keepsWill: false,
        atMs: 2e12
      }
    ]
    const state = events.reduce(definition.evolve, definition.initial(id))
    yield [id, definition.load(id, unpack(pack(definition.save(state))))] as const
  }
}

/** The bytes that sessions take with all that is derived from them, and what they weigh. */
const measure = (count: number, filtersOf: (n: number) => ReadonlyArray<string>) => {
  const account = new MemoryAccount(0)
  const before = used()
  const table = new ActorTable([definition], account)
  table.replaceAll(new Map(loaded(count, filtersOf)), 0)
  const follow: Shards["follow"] = (states, { restored }) => {
    for (const [actor, state] of table.newest(states)) restored(actor, state)
  }
  const directory = SessionDirectory.follow({ follow } as unknown as Shards, defaultLimits)
  const bytes = used() - before
  expect(directory.size).toBe(count)
  return { each: bytes / count, ofWeight: bytes / account.bytes("sessions") }
}

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i)

describe("the memory of durable sessions", () => {
  it("is 5 kB with ten subscriptions", () => {
    measure(10, () => ["first/classes/and/code"])
    const { each } = measure(3000, (n) => numbers(10).map((i) => `devices/device-${n}/topic-${i}`))
    expect(each).toBeLessThan(5000)
  })

  it.each([
    ["ten filters that share levels", 2000, (n: number) => numbers(10).map((i) => `devices/device-${n}/topic-${i}`)],
    ["a thousand filters of one level", 20, (n: number) => numbers(1030).map((i) => `${n * 1030 + i}`)],
    [
      "levels of their own",
      20,
      (n: number) =>
        numbers(100).map((i) =>
          numbers(32)
            .map((l) => `${n}-${i}-${l}`)
            .join("/")
        )
    ],
    ["a filter that all have", 20_000, () => ["a/b"]],
    ["shared filters of their own", 2000, (n: number) => numbers(10).map((i) => `$share/${n}/${i}`)],
    ["no ASCII", 50, (n: number) => numbers(100).map((i) => `${"é".repeat(100)}${n}/${"€".repeat(100)}${i}`)]
  ] as const)("is no more than they weigh: %s", (_what, count, filtersOf) => {
    measure(10, filtersOf)
    expect(measure(count, filtersOf).ofWeight).toBeLessThan(1)
  })
})
