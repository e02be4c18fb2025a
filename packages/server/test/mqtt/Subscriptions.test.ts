import type { Subscription } from "@logbrook/actors/session/SessionProtocol"
import { describe, expect, it } from "vitest"
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

const always = (): boolean => true

const groupOf = (count: number) => {
  const subscriptions = new Subscriptions<number>()
  for (let member = 0; member < count; member++) subscriptions.add(String(member), member, to("$share/g/a"))
  return subscriptions.plan("a").groups[0]!
}

describe("the members of a shared subscription", () => {
  it("take turns while they have the same load", () => {
    const group = groupOf(3)
    const taken = Array.from({ length: 7 }, () => group.take(always, () => 4)!.subscriber)
    expect(taken).toEqual([0, 1, 2, 0, 1, 2, 0])
  })

  it("are chosen by their load", () => {
    const group = groupOf(3)
    const loads = [2, 0, 1]
    const taken = Array.from({ length: 6 }, () => {
      const { subscriber } = group.take(always, (member) => loads[member]!)!
      loads[subscriber]!++
      return subscriber
    })
    expect(taken).toEqual([1, 2, 1, 2, 0, 1])
    loads[0] = 9
    expect(group.take(always, (member) => loads[member]!)!.subscriber).toBe(2)
  })

  it("are looked at up to 128, and all as long as nobody may be chosen", () => {
    const group = groupOf(1000)
    let looked = 0
    const load = (): number => {
      looked++
      return 1
    }
    expect(group.take(always, load)!.subscriber).toBe(0)
    expect(looked).toBe(128)
    expect(group.take(({ subscriber }) => subscriber === 999, load)!.subscriber).toBe(999)
    expect(group.take(() => false, load)).toBe(undefined)
  })

  it("are met while they are connected, and not again before they come", () => {
    const group = groupOf(1000)
    const here = new Set([7, 8])
    let met = 0
    const take = (isEligible: (member: number) => boolean = always): number | undefined => {
      met = 0
      const isConnected = ({ subscriber }: { readonly subscriber: number }): boolean => {
        met++
        return here.has(subscriber)
      }
      return group.takeConnected(
        isConnected,
        ({ subscriber }) => isEligible(subscriber),
        () => 1
      )?.subscriber
    }
    expect([take(), met]).toEqual([7, 1000])
    expect([take(), take(), take()]).toEqual([8, 7, 8])
    expect(met).toBe(2)
    // One that may not be chosen now is still there.
    expect(take((member) => member === 8)).toBe(8)
    expect(take(() => false)).toBeUndefined()
    expect(take()).toBe(7)
    here.clear()
    expect([take(), met]).toEqual([undefined, 2])
    expect([take(), met]).toEqual([undefined, 0])
    here.add(999)
    group.arrived("999")
    group.arrived("no member")
    expect([take(), met]).toEqual([999, 1])
  })

  it("are looked at while they are connected up to 128", () => {
    let looked = 0
    const load = (): number => {
      looked++
      return 1
    }
    expect(groupOf(1000).takeConnected(always, always, load)!.subscriber).toBe(0)
    expect(looked).toBe(128)
  })

  it("are not looked at for what waits if they have QoS 0", () => {
    const subscriptions = new Subscriptions<number>()
    for (let member = 0; member < 1000; member++) {
      subscriptions.add(String(member), member, { ...to("$share/g/a"), qos: member === 999 ? 1 : 0 })
    }
    const group = subscriptions.group("$share/g/a")!
    let met = 0
    const isEligible = (): boolean => {
      met++
      return true
    }
    expect([group.take(isEligible, () => 1)!.subscriber, met]).toEqual([999, 1])
  })

  it("that has gone is not chosen, and one that comes again by another filter's options is one member", () => {
    const subscriptions = new Subscriptions<string>()
    subscriptions.add("a", "a", to("$share/g/x"))
    subscriptions.add("b", "b", to("$share/g/x"))
    subscriptions.add("b", "b", { ...to("$share/g/x"), qos: 2 })
    expect(subscriptions.size).toBe(2)
    const group = subscriptions.group("$share/g/x")!
    subscriptions.remove("a", "$share/g/x")
    expect([group.take(always, () => 1), group.take(always, () => 1)]).toMatchObject([
      { subscriber: "b", qos: 2, share: "$share/g/x" },
      { subscriber: "b" }
    ])
    subscriptions.remove("b", "$share/g/x")
    expect([subscriptions.group("$share/g/x"), subscriptions.size]).toEqual([undefined, 0])
  })
})
