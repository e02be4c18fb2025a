import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { SubscriptionSet } from "../../src/session/SubscriptionSet.ts"
import type { Subscription } from "../../src/session/SessionProtocol.ts"
import { subscriptionOf } from "./SessionHarness.ts"

const filterArbitrary = fc.integer({ min: 0, max: 30 }).map((n) => `filter/${n}`)
const stepArbitrary = fc.record({ filter: filterArbitrary, isRemoved: fc.boolean(), subscriptionId: fc.nat(9) })

const contentOf = (set: SubscriptionSet) => ({
  filters: [...set.filters()],
  values: [...set.values()],
  size: set.size
})

const contentOfMap = (map: ReadonlyMap<string, Subscription>) => ({
  filters: [...map.keys()],
  values: [...map.values()],
  size: map.size
})

describe("SubscriptionSet", () => {
  it("is a map by filter, few or many, and copies go their own ways", () => {
    const steps = fc.array(stepArbitrary, { maxLength: 80 })
    fc.assert(
      fc.property(steps, fc.nat(80), (all, copiedAt) => {
        const set = SubscriptionSet.of([])
        const model = new Map<string, Subscription>()
        let copy = set.copy()
        let copied = new Map(model)
        all.forEach(({ filter, isRemoved, subscriptionId }, at) => {
          if (at === copiedAt) {
            copy = set.copy()
            copied = new Map(model)
          }
          if (isRemoved) expect(set.delete(filter)).toBe(model.delete(filter))
          else {
            const subscription = subscriptionOf(filter, { subscriptionId })
            set.set(subscription)
            model.set(filter, subscription)
          }
          expect(set.get(filter)).toBe(model.get(filter))
          expect(set.has(filter)).toBe(model.has(filter))
        })
        expect(contentOf(set)).toEqual(contentOfMap(model))
        expect(contentOf(copy)).toEqual(contentOfMap(copied))
        const values = [...model.values()]
        const added = copy.copy()
        added.setAll(values)
        for (const value of values) copied.set(value.filter, value)
        expect(contentOf(added)).toEqual(contentOfMap(copied))
        expect(contentOf(SubscriptionSet.of(values))).toEqual(contentOfMap(model))
      })
    )
  })
})
