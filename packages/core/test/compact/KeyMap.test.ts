import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { KeyMap } from "../../src/compact/KeyMap.ts"

const keyOf = (n: number): Uint8Array => Buffer.from(`key ${n}`)

describe("KeyMap", () => {
  it("tells the newest offset of each key, and -1 for others", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 200 }), (keys) => {
        const map = KeyMap.for(64, 1 << 20)
        const model = new Map<number, number>()
        keys.forEach((key, offset) => {
          expect(map.put(keyOf(key), offset)).toBe(true)
          model.set(key, offset)
        })
        for (let key = 0; key <= 40; key++) expect(map.newestOffset(keyOf(key))).toBe(model.get(key) ?? -1)
        expect(map.keys).toBe(model.size)
      })
    )
  })

  it("takes no more keys than its bytes have room for, and goes on with those that it has", () => {
    const map = KeyMap.for(1_000_000, 24 * 1024)
    let keys = 0
    while (map.put(keyOf(keys), keys)) keys++
    expect(keys).toBe(768)
    expect(map.keys).toBe(768)
    expect(map.newestOffset(keyOf(keys))).toBe(-1)
    expect(map.put(keyOf(5), 9000)).toBe(true)
    expect(map.newestOffset(keyOf(5))).toBe(9000)
    expect(map.newestOffset(keyOf(6))).toBe(6)
  })

  it("has room for as many as it must, whatever it may have", () => {
    const map = KeyMap.for(1_000_000, 0, 100)
    let keys = 0
    while (map.put(keyOf(keys), keys)) keys++
    expect(keys).toBe(192)
  })

  it("has a small table for few keys, whatever it may have", () => {
    const map = KeyMap.for(10, 64 * 1024 * 1024)
    let keys = 0
    while (map.put(keyOf(keys), keys)) keys++
    expect(keys).toBe(12)
  })

  it("knows empty keys, long keys, and offsets beyond 32 bits", () => {
    const map = KeyMap.for(4, 1 << 20)
    const long = new Uint8Array(100_000).fill(7)
    map.put(new Uint8Array(0), 0)
    map.put(long, 2 ** 40)
    expect(map.newestOffset(new Uint8Array(0))).toBe(0)
    expect(map.newestOffset(long)).toBe(2 ** 40)
    expect(map.newestOffset(long.subarray(1))).toBe(-1)
  })
})
