import * as fc from "fast-check"
import { expect, it } from "vitest"
import { pageOf } from "../../src/http/paging.ts"

const present = (name: string) => (name === "b" ? undefined : name)

it("pages of a list have each of its names once, in order, whatever order they come in", () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3, unit: "grapheme" }), { maxLength: 200 })
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 9 }), (all, limit) => {
      const found: Array<string> = []
      for (let cursor: string | null | undefined; cursor !== null;) {
        const page = pageOf(all, { cursor, limit }, (name) => name)
        expect(page.data.length).toBeLessThanOrEqual(limit)
        expect(page.meta.hasnext).toBe(page.meta.cursor !== null)
        found.push(...page.data)
        cursor = page.meta.cursor
      }
      expect(found).toEqual(all.toSorted())
    })
  )
})

it("a page leaves out what has gone, and the cursor goes on behind it", () => {
  expect(pageOf(["c", "b", "a"], { limit: 2 }, present)).toEqual({ data: ["a"], meta: { cursor: "b", hasnext: true } })
  expect(pageOf(["c", "b", "a"], { limit: 2, cursor: "b" }, present)).toEqual({
    data: ["c"],
    meta: { cursor: null, hasnext: false }
  })
})
