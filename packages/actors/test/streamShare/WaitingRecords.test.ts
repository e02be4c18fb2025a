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
      const ever = past.flatMap(([, records]) => records)
      for (const [before, records] of past) {
        expect([...before]).toEqual(records)
        const there = new Set(records.map((record) => keyOf(placeOf(record))))
        const absent = new Map(ever.map((record) => [keyOf(placeOf(record)), record] as const))
        for (const key of there) absent.delete(key)
        expect(before.newAmong(ever)).toEqual([...absent.values()])
      }
    }),
    { numRuns: 100, seed: 32 }
  )
  expect(longest).toBeGreaterThan(1000)
  expect(emptied).toBeGreaterThan(0)
})

it("looks at each record a bounded number of times, however many sessions give records back", () => {
  const [sessions, perSession] = [500, 40]
  let looks = 0
  const recordAt = (offset: number): ShareRecord => ({
    partition: 0,
    get offset() {
      looks++
      return offset
    }
  })
  let waiting = WaitingRecords.none
  for (let session = 0; session < sessions; session++) {
    // Each session has had every so many of them.
    const back = Array.from({ length: perSession }, (_, i) => recordAt(i * sessions + session))
    expect(waiting.newAmong(back)).toHaveLength(perSession)
    waiting = waiting.with(back)
    // The first that waits is dealt out meanwhile.
    waiting = waiting.without([[0, (session % perSession) * sessions + Math.floor(session / perSession)]])
  }
  expect(waiting.size).toBe(sessions * (perSession - 1))
  expect(looks).toBeLessThan(sessions * perSession * 10)
})
