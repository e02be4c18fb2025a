import { describe, expect, it } from "vitest"
import { defaultLimits, recordOverheadBytesMax } from "../src/Limits.ts"
import { encodeHeaders, recordBytes, type RecordHeader } from "../src/Record.ts"

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
    expect(defaultLimits.groupSessionTimeoutMsMin).toBeLessThan(defaultLimits.groupSessionTimeoutMsMax)
  })
})

const bytes = (length: number): Uint8Array => new Uint8Array(length)

describe("recordOverheadBytesMax", () => {
  const mqttFieldBytesMax = 65_535

  /** The user properties that take most: as many as may be, each with its share of the bytes. */
  const userHeaders = (count: number, bytesMax: number): ReadonlyArray<RecordHeader> =>
    Array.from({ length: count }, () => [bytes(0), bytes(Math.min(Math.floor(bytesMax / count), mqttFieldBytesMax))])

  it.each([
    ["as shipped", {}],
    ["no user properties", { userPropertiesMax: 0, userPropertiesBytesMax: 0 }],
    ["large user properties", { userPropertiesMax: 64, userPropertiesBytesMax: 4 * 1024 * 1024 }],
    ["many small ones", { userPropertiesMax: 100_000, userPropertiesBytesMax: 500_000 }],
    ["the longest topics", { topicBytesMax: mqttFieldBytesMax, userPropertiesBytesMax: 0 }],
    ["the longest client ids", { clientIdBytesMax: mqttFieldBytesMax }],
    ["short client ids, and one that the server gives", { clientIdBytesMax: 1, topicBytesMax: 1 }]
  ])("is above what a record can take, and not far: %s", (_name, changed) => {
    const limits = { ...defaultLimits, ...changed }
    const { topicBytesMax, clientIdBytesMax, userPropertiesMax, userPropertiesBytesMax } = limits
    const clientIdBytes = Math.max(clientIdBytesMax, "logbrook-01234567-89ab-cdef-0123-456789abcdef".length)
    const own = encodeHeaders([
      [Buffer.from("mqtt.topic"), bytes(topicBytesMax)],
      [Buffer.from("mqtt.clientid"), bytes(clientIdBytes)],
      [Buffer.from("mqtt.qos"), bytes(1)],
      [Buffer.from("mqtt.retain"), bytes(1)]
    ])
    const others: ReadonlyArray<RecordHeader> = [
      ...userHeaders(userPropertiesMax, userPropertiesBytesMax),
      [Buffer.from("mqtt.content-type"), bytes(mqttFieldBytesMax)],
      [Buffer.from("mqtt.response-topic"), bytes(mqttFieldBytesMax)],
      [Buffer.from("mqtt.correlation-data"), bytes(mqttFieldBytesMax)],
      [Buffer.from("mqtt.payload-format"), bytes(1)],
      [Buffer.from("mqtt.expiry"), bytes(16)]
    ]
    const userPropertyBytesMax = Math.min(userPropertiesBytesMax, mqttFieldBytesMax)
    const key = bytes(Math.max(topicBytesMax, clientIdBytes, userPropertyBytesMax))
    const payload = bytes(100_000)
    const overhead = recordBytes(key, payload, own, others) - payload.length
    expect(recordOverheadBytesMax(limits)).toBeGreaterThanOrEqual(overhead)
    expect(recordOverheadBytesMax(limits)).toBeLessThan(overhead + 1000 + userPropertiesMax * 10)
  })
})
