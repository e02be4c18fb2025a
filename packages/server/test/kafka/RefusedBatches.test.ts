import { describe, expect, it } from "vitest"
import { RefusedBatches } from "../../src/kafka/RefusedBatches.ts"

const batch = (baseSequence: number, producerEpoch = 0, producerId = 7) => ({ producerId, producerEpoch, baseSequence })

const refusing = (baseSequence: number, logId = 1): RefusedBatches => {
  const refused = new RefusedBatches()
  refused.add(logId, batch(baseSequence))
  return refused
}

describe("RefusedBatches", () => {
  it("admits the refused batch, and then what comes behind it", () => {
    const refused = refusing(3)
    expect(refused.admits(1, batch(5))).toBe(false)
    expect(refused.admits(1, batch(3))).toBe(true)
    expect(refused.admits(1, batch(5))).toBe(true)
  })

  it("waits for the first of several", () => {
    const refused = refusing(3)
    refused.add(1, batch(5))
    expect(refused.admits(1, batch(5))).toBe(false)
    expect(refused.admits(1, batch(3))).toBe(true)
  })

  it("looks at nothing but that log, producer and epoch, nor at what came before", () => {
    const refused = refusing(3)
    expect(refused.admits(2, batch(5))).toBe(true)
    expect(refused.admits(1, batch(5, 0, 8))).toBe(true)
    expect(refused.admits(1, batch(0, 1))).toBe(true)
    expect(refused.admits(1, batch(2))).toBe(true)
    expect(refused.admits(1, batch(5))).toBe(false)
  })

  it("knows that sequences begin again at 0", () => {
    const refused = refusing(0x7fff_ffff)
    expect(refused.admits(1, batch(0x7fff_fffe))).toBe(true)
    expect(refused.admits(1, batch(0))).toBe(false)
  })

  it("has nothing to do with producers that are not idempotent", () => {
    const refused = new RefusedBatches()
    refused.add(1, batch(-1, -1, -1))
    expect(refused.admits(1, batch(0, -1, -1))).toBe(true)
  })

  it("forgets the oldest of more than 256 logs", () => {
    const refused = refusing(0, 0)
    for (let logId = 1; logId <= 256; logId++) refused.add(logId, batch(0))
    expect(refused.admits(0, batch(5))).toBe(true)
    expect(refused.admits(1, batch(5))).toBe(false)
  })
})
