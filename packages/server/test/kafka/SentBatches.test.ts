import { describe, expect, it } from "vitest"
import { SentBatches } from "../../src/kafka/SentBatches.ts"

const batch = (baseSequence: number, producerEpoch = 0, producerId = 7) => ({ producerId, producerEpoch, baseSequence })

const refusing = (baseSequence: number, logId = 1): SentBatches => {
  const refused = new SentBatches()
  refused.refused(logId, batch(baseSequence))
  return refused
}

describe("SentBatches", () => {
  it("admits the refused batch, and then what comes behind it", () => {
    const refused = refusing(3)
    expect(refused.admits(1, batch(5))).toBe(false)
    expect(refused.admits(1, batch(3))).toBe(true)
    expect(refused.admits(1, batch(5))).toBe(true)
  })

  it("waits for the first of several", () => {
    const refused = refusing(3)
    refused.refused(1, batch(5))
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
    const refused = new SentBatches()
    refused.refused(1, batch(-1, -1, -1))
    expect(refused.admits(1, batch(0, -1, -1))).toBe(true)
  })

  it("forgets the oldest of more than 256 logs", () => {
    const refused = refusing(0, 0)
    for (let logId = 1; logId <= 256; logId++) refused.refused(logId, batch(0))
    expect(refused.admits(0, batch(5))).toBe(true)
    expect(refused.admits(1, batch(5))).toBe(false)
  })

  it("knows what is behind a batch that is not answered", () => {
    const sent = new SentBatches()
    const [first, second] = [batch(3), batch(5)]
    expect([sent.asks(1, first), sent.asks(1, second)]).toEqual([false, true])
    expect([sent.asks(2, batch(7)), sent.asks(1, batch(7, 0, 8)), sent.asks(1, batch(0, 1))]).toEqual([
      false,
      false,
      false
    ])
    sent.answered(1, first)
    expect(sent.asks(1, batch(7))).toBe(true)
    // It comes again: what was sent behind it is not before it.
    expect(sent.asks(1, batch(3))).toBe(false)
    sent.answered(1, second)
    expect(sent.asks(1, batch(4))).toBe(true)
  })

  it("has nothing left of what was answered", () => {
    const sent = new SentBatches()
    const all = [batch(0), batch(1), batch(2)]
    for (const each of all) sent.asks(1, each)
    for (const each of all) sent.answered(1, each)
    expect(sent.asks(1, batch(9))).toBe(false)
  })
})
