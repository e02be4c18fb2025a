import * as fc from "fast-check"
import { expect, it } from "vitest"
import type { RecordPlace, ShareRecord } from "../../src/streamShare/StreamShareProtocol.ts"
import { WaitingRecords } from "../../src/streamShare/WaitingRecords.ts"

const keyOf = ([partition, offset]: RecordPlace): string => `${partition}/${offset}`
const placeOf = ({ partition, offset }: ShareRecord): RecordPlace => [partition, offset]

const change = fc.oneof(
  fc.record({ tag: fc.constant("with" as const), count: fc.nat({ max: 600 }) }),
  // From the front, as records are dealt out, and others.
  fc.record({
    tag: fc.constant("without" as const),
    from: fc.constantFrom(0, 0, 0, 100, 300),
    count: fc.nat({ max: 600 }),
    step: fc.constantFrom(1, 1, 2, 7),
    unknown: fc.boolean()
  })
)

it("are after any changes what a plain list of them would be, and those before each change stay what they were", () => {
  let [longest, emptied] = [0, 0]
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      let waiting = WaitingRecords.none
      let list: ReadonlyArray<ShareRecord> = []
      let next = 0
      const past: Array<readonly [WaitingRecords, ReadonlyArray<ShareRecord>]> = []
      for (const each of changes) {
        past.push([waiting, list])
        if (each.tag === "with") {
          // Two partitions with the same offsets.
          const records = Array.from({ length: each.count }, (): ShareRecord => ({
            partition: next % 2,
            offset: next++ >> 1
          }))
          list = [...list, ...records]
          waiting = waiting.with(records)
        } else {
          const { from, count, step, unknown } = each
          const those = list.slice(from, from + count).filter((_, i) => i % step === 0)
          const places = [...those.map(placeOf), ...(unknown ? [[2, 0] as const] : [])]
          const known = new Set(those.map((record) => keyOf(placeOf(record))))
          expect(waiting.placesAmong(places)).toEqual(those.map(placeOf))
          const others = [{ partition: 2, offset: 0 }, ...those, { partition: 0, offset: next }]
          expect(waiting.newAmong(others)).toEqual([others[0], others.at(-1)])
          list = list.filter((record) => !known.has(keyOf(placeOf(record))))
          waiting = waiting.without(places)
          if (list.length === 0 && those.length > 0) emptied++
        }
        longest = Math.max(longest, list.length)
        expect([waiting.size, [...waiting]]).toEqual([list.length, list])
      }
      for (const [before, records] of past) expect([...before]).toEqual(records)
    }),
    { numRuns: 100, seed: 32 }
  )
  expect(longest).toBeGreaterThan(1000)
  expect(emptied).toBeGreaterThan(0)
})
