import type { Subscription } from "@logbrook/actors/session/SessionProtocol"
import { expect, it } from "vitest"
import { Subscriptions } from "../../src/mqtt/Subscriptions.ts"

const to = (filter: string): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  subscriptionId: null
})

const subscribersOf = (subscriptions: Subscriptions<string>, topic: string): ReadonlyArray<string> =>
  subscriptions.plan(topic).targets.map(({ match }) => match.subscriber)

it("a topic that was looked up before has the subscriptions of now, each time", () => {
  const subscriptions = new Subscriptions<string>()
  subscriptions.add("stays", "stays", to("b"))
  expect(subscribersOf(subscriptions, "a")).toEqual([])
  subscriptions.add("goes", "goes", to("a"))
  expect(subscribersOf(subscriptions, "a")).toEqual(["goes"])
  subscriptions.remove("goes", "a")
  expect(subscribersOf(subscriptions, "a")).toEqual([])
  expect(subscribersOf(subscriptions, "b")).toEqual(["stays"])
})
