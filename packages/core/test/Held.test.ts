import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { find, type Held, type Keyed, visitAll, withOne, withoutOne } from "../src/Held.ts"

interface One extends Keyed {
  readonly value: number
}

const keyArbitrary = fc.integer({ min: 0, max: 30 }).map(String)
const stepArbitrary = fc.record({ key: keyArbitrary, isRemoved: fc.boolean() })

const contentOf = (held: Held<One>): Array<One> => {
  const found: Array<One> = []
  visitAll(held, (one) => found.push(one))
  return found
}

describe("Held", () => {
  it("is a map by key, in its order, whatever it holds", () => {
    const removals = Array.from({ length: 31 }, (_, n) => ({ key: String(n), isRemoved: true }))
    fc.assert(
      fc.property(fc.array(stepArbitrary, { maxLength: 80 }), (steps) => {
        let held: Held<One> = undefined
        const model = new Map<string, One>()
        for (const [value, { key, isRemoved }] of [...steps, ...removals].entries()) {
          const before = Array.isArray(held) ? { held, content: contentOf(held) } : undefined
          if (isRemoved) {
            held = withoutOne(held, key)
            model.delete(key)
          } else {
            held = withOne(held, { key, value })
            model.set(key, { key, value })
          }
          expect(find(held, key)).toEqual(model.get(key))
          expect(contentOf(held)).toEqual([...model.values()])
          if (before !== undefined) expect(contentOf(before.held)).toEqual(before.content)
        }
        expect(held).toBeUndefined()
      })
    )
  })
})
