import { pack, unpack } from "@logbrook/core/actor/pack"
import { describe, expect, it } from "vitest"
import { makeSession } from "../../src/session/Session.ts"
import type { StreamReading, Subscription } from "../../src/session/SessionProtocol.ts"
import { loadSubscriptions, saveSubscriptions, type SavedSubscriptions } from "../../src/session/savedSubscriptions.ts"
import type { SavedSession } from "../../src/session/sessionState.ts"
import { connectOf, SessionHarness, subscriptionOf } from "./SessionHarness.ts"

const reading: StreamReading = { topicId: "t", positions: [1, 2], ends: null, untilMs: null, isFullTopic: false }

const differing: ReadonlyArray<Subscription> = [
  subscriptionOf("a"),
  subscriptionOf("b"),
  subscriptionOf("c", { qos: 2 }),
  subscriptionOf("d", { noLocal: true }),
  subscriptionOf("e", { retainAsPublished: true }),
  subscriptionOf("f", { retainHandling: 2 }),
  subscriptionOf("g", { subscriptionId: 7 }),
  subscriptionOf("$stream/h", { stream: reading }),
  subscriptionOf("$stream/i", { stream: reading }),
  subscriptionOf("j"),
  subscriptionOf("k")
]

describe("saved subscriptions", () => {
  it("are together where only their filters differ, and come back in their order", () => {
    const saved = saveSubscriptions(differing)
    expect(saved.map(({ filters }) => filters)).toEqual([
      ["a", "b"],
      ["c"],
      ["d"],
      ["e"],
      ["f"],
      ["g"],
      ["$stream/h"],
      ["$stream/i"],
      ["j", "k"]
    ])
    expect(loadSubscriptions(unpack(pack(saved)) as ReadonlyArray<SavedSubscriptions>)).toEqual(differing)
  })

  it("of a version that saved each for itself are read", () => {
    const session = new SessionHarness()
    session.send(connectOf("1"))
    session.send({ _tag: "Subscribe", connectionId: "1", subscriptions: differing })
    const { id, state } = session
    const { save, load, upcastState } = makeSession()
    const former = { ...(save(state) as SavedSession), subscriptions: differing }
    const loaded = load(id, upcastState!(unpack(pack(former)), 3))
    expect(pack(save(loaded))).toEqual(pack(save(state)))
    expect([...loaded.subscriptions.values()]).toEqual(differing)
  })
})
