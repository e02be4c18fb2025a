import { PacketIds } from "@logbrook/core/PacketIds"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const packetId = fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom(1, 31, 32, 1023, 1024, 65_535))

describe("PacketIds", () => {
  it("holds what a Set of the same holds, and gives it in ascending order", () => {
    const step = fc.record({ adds: fc.boolean(), packetId: fc.oneof(packetId, fc.integer({ min: 1, max: 8 })) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const ids = new PacketIds()
        const expected = new Set<number>()
        for (const each of steps) {
          if (each.adds) {
            ids.add(each.packetId)
            expected.add(each.packetId)
          } else expect(ids.delete(each.packetId)).toBe(expected.delete(each.packetId))
          expect(ids.size).toBe(expected.size)
          expect(ids.words).toBe(new Set([...expected].map((id) => id >>> 5)).size)
          expect(ids.has(each.packetId)).toBe(expected.has(each.packetId))
        }
        expect([...ids]).toEqual([...expected].toSorted((a, b) => a - b))
      })
    )
  })

  it("takes all there are, and gives them back", () => {
    const all = Array.from({ length: 65_535 }, (_, i) => i + 1)
    const ids = PacketIds.of(all)
    expect([ids.size, ids.words]).toEqual([65_535, 2048])
    expect([...ids]).toEqual(all)
    for (const id of all) ids.delete(id)
    expect([ids.size, ids.words]).toEqual([0, 0])
    expect([...ids]).toEqual([])
  })
})
