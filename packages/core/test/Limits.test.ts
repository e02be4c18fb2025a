import { describe, expect, it } from "vitest"
import { defaultLimits } from "../src/Limits.ts"

describe("defaultLimits", () => {
  it("bounds everything: each number is finite and positive", () => {
    const numbers = Object.entries(defaultLimits).filter(([, value]) => typeof value === "number")
    expect(numbers.length).toBeGreaterThan(50)
    for (const [name, value] of numbers) expect(value, name).toBeGreaterThan(0)
    for (const [name, value] of numbers) expect(Number.isFinite(value), name).toBe(true)
  })

  it("fits together", () => {
    expect(defaultLimits.preAuthFrameBytesMax).toBeLessThan(defaultLimits.mqttPacketBytesMax)
    expect(defaultLimits.recordBatchBytesMax).toBeLessThan(defaultLimits.kafkaRequestBytesMax)
    expect(defaultLimits.recordBatchBytesMax).toBeLessThanOrEqual(defaultLimits.decompressedBytesMax)
    expect(defaultLimits.kafkaRequestBytesMax).toBeLessThanOrEqual(defaultLimits.kafkaInFlightBytesMax)
    expect(defaultLimits.inflightPerSessionMax).toBeLessThanOrEqual(defaultLimits.receiveMaximum)
    expect(defaultLimits.frameRecordsBytesMax).toBeLessThan(defaultLimits.frameBytesMax)
    expect(defaultLimits.groupSessionTimeoutMsMin).toBeLessThan(defaultLimits.groupSessionTimeoutMsMax)
    expect(defaultLimits.streamAutoCreation).toBe(false)
    expect(defaultLimits.listenHost).toBe("127.0.0.1")
  })
})
