import { describe, expect, it } from "vitest"
import type { Device } from "./crash/MqttPublisher.ts"
import { Ledger } from "./soak/Ledger.ts"
import { growthOf } from "./soak/slope.ts"

// That the soak's own judges can fail.

const device = (qos: 1 | 2, sent: number, resent: ReadonlyArray<number> = []): Device => ({
  clientId: "d",
  qos,
  sent,
  acknowledged: sent,
  acknowledgedSentMs: 0,
  resent: new Set(resent),
  faults: []
})

const faultsOf = (one: Device, values: ReadonlyArray<string>): ReadonlyArray<string> => {
  const ledger = new Ledger([one])
  for (const value of values) ledger.reading(value)
  ledger.close(0)
  return ledger.faults
}

describe("the ledger of devices", () => {
  it("is content with every message in order, and with QoS 1 twice after a resend", () => {
    expect(faultsOf(device(1, 3, [1]), ["d 0", "d 1", "d 1", "d 2 xxx"])).toEqual([])
  })

  it.each([
    ["a loss at the end", device(1, 2), ["d 0"]],
    ["a loss in between", device(1, 3), ["d 0", "d 2"]],
    ["QoS 1 twice without a resend", device(1, 2), ["d 0", "d 0", "d 1"]],
    ["QoS 2 twice", device(2, 2, [0]), ["d 0", "d 0", "d 1"]],
    ["a message of nobody", device(1, 0), ["e 0"]]
  ])("tells %s", (_what, one, values) => {
    expect(faultsOf(one, values)).not.toEqual([])
  })
})

describe("the ledger of producers", () => {
  const told = [{ partition: 0, baseOffset: 0, ids: ["a", "b"] }]
  const faults = (read: ReadonlyArray<string>, givenUp = 0): ReadonlyArray<string> => {
    const ledger = new Ledger([])
    ledger.orders(told)
    for (const [offset, id] of read.entries()) ledger.order(0, offset, id)
    ledger.orders([])
    ledger.close(givenUp)
    return ledger.faults
  }

  it("is content when all that was told is at its offset", () => {
    expect(faults(["a", "b"])).toEqual([])
    expect(faults(["a", "b", "of a batch that was given up"], 1)).toEqual([])
  })

  it("tells what is missing, another, or of nobody", () => {
    expect(faults(["a"])).toHaveLength(2)
    expect(faults(["a", "c"])).toEqual(["orders/0:1: c where b was acknowledged"])
    expect(faults(["a", "b", "c"])).toEqual(["1 records that no producer was told of"])
  })
})

const samples = (valueAt: (i: number) => number) =>
  Array.from({ length: 101 }, (_, i) => ({ atMs: 1000 + i * 10, value: valueAt(i) }))

describe("growth", () => {
  it("is that of the line through all samples, whatever swings around it", () => {
    expect(growthOf(samples((i) => 5 + i * 0.5))).toBeCloseTo(50)
    expect(growthOf(samples((i) => 100 - i))).toBeCloseTo(-100)
    const swing = 27
    expect(Math.abs(growthOf(samples((i) => ((i % 10) * swing) / 9)))).toBeLessThan(swing / 10)
    expect(growthOf([])).toBe(0)
  })
})
