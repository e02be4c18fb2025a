import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BufferPool, Loan } from "../src/BufferPool.ts"

describe("BufferPool", () => {
  it("hands out what was given back, whole, by any view of it", () => {
    const pool = new BufferPool(1 << 20)
    const first = pool.take(100_000)
    pool.give(first.subarray(61, 70))
    expect(pool.freeBytes).toBe(first.length)
    expect(pool.take(100_000).buffer).toBe(first.buffer)
    expect(pool.freeBytes).toBe(0)
  })

  it("is as large as asked for, and a quarter larger at most", () => {
    const pool = new BufferPool(0)
    fc.assert(
      fc.property(fc.integer({ min: 4096, max: 1 << 21 }), (bytes) => {
        const { length } = pool.take(bytes)
        expect(length).toBeGreaterThanOrEqual(bytes)
        expect(length).toBeLessThanOrEqual(bytes * 1.25)
      })
    )
  })

  it("takes in nothing twice, nothing of others, nothing small, and no more than its bound", () => {
    const pool = new BufferPool(16_384)
    const [tooMuch, kept] = [pool.take(4096), pool.take(16_384)]
    pool.give(kept)
    pool.give(kept)
    pool.give(tooMuch)
    pool.give(new Uint8Array(8192))
    pool.give(pool.take(1 << 20))
    expect(pool.freeBytes).toBe(0)
    pool.give(pool.take(4096))
    pool.give(kept)
    expect(pool.freeBytes).toBe(4096)
  })

  it("keeps the sizes that are asked for, whatever was given back before", () => {
    const pool = new BufferPool(1 << 20)
    const old = Array.from({ length: 16 }, () => pool.take(65_536))
    for (const bytes of old) pool.give(bytes)
    const first = pool.take(100_000)
    pool.give(first)
    expect(pool.freeBytes).toBeLessThanOrEqual(1 << 20)
    expect(pool.take(100_000).buffer).toBe(first.buffer)
  })

  it("gives back what it keeps, for as long as its bound is not passed", () => {
    const pool = new BufferPool(16_384)
    const kept = pool.take(16_384)
    pool.give(kept)
    expect(pool.freeBytes).toBe(16_384)
    expect(pool.take(16_384).buffer).toBe(kept.buffer)
    expect(pool.take(16_384).buffer).not.toBe(kept.buffer)
  })

  it("never holds more than its bound, and never hands out what is in use", () => {
    const step = fc.record({ bytes: fc.integer({ min: 1, max: 100_000 }), gives: fc.boolean(), which: fc.nat() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.nat(400_000), (steps, freeBytesMax) => {
        const pool = new BufferPool(freeBytesMax)
        const used: Array<Uint8Array> = []
        for (const { bytes, gives, which } of steps) {
          if (gives && used.length > 0) pool.give(used.splice(which % used.length, 1)[0]!)
          else used.push(pool.take(bytes))
          expect(new Set(used.map(({ buffer }) => buffer)).size).toBe(used.length)
          expect(pool.freeBytes).toBeLessThanOrEqual(freeBytesMax)
        }
      })
    )
  })

  it("writes over what is given back where a test asks for it", () => {
    const pool = new BufferPool(1 << 20)
    pool.poison = 0xdb
    const bytes = pool.take(5000).fill(1)
    pool.give(bytes)
    expect(new Set(bytes)).toEqual(new Set([0xdb]))
  })
})

describe("Loan", () => {
  it("gives all back at its end, once", () => {
    const pool = new BufferPool(1 << 20)
    const loan = new Loan(pool)
    const [first, second] = [loan.take(8192), loan.take(16_384)]
    loan.end()
    expect(pool.freeBytes).toBe(first.length + second.length)
    const again = pool.take(8192)
    expect(again.buffer).toBe(first.buffer)
    loan.end()
    expect(pool.take(8192).buffer).not.toBe(again.buffer)
  })
})
