import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { decodePacket } from "../../src/mqtt/decode.ts"
import { decodeConnect } from "../../src/mqtt/decodeConnect.ts"
import { encodeAuth, encodeConnack, encodeDisconnect, encodeSuback, encodeUnsuback } from "../../src/mqtt/encode.ts"
import type { ProtocolVersion } from "../../src/mqtt/Packet.ts"
import { defaultCodecLimits, MqttError } from "../../src/mqtt/Packet.ts"

// What the codec that was written by hand before ADR 0024 made of 4,643 packets: valid ones of a seeded generator, and
// the same kinds with a byte changed, cut, added or its flags set. mqtt-packet stands behind the check now, so it can be
// the oracle of neither; this is.

interface Decoded {
  /** Hexadecimal, as all bytes here: within objects they are `{ hex }`. */
  readonly decode: string
  readonly version: ProtocolVersion
  readonly isConnect: boolean
  readonly subscriptionsMax?: number
  /** One of both. */
  readonly packet?: object
  readonly error?: object
}

const encoders = { encodeConnack, encodeSuback, encodeUnsuback, encodeDisconnect, encodeAuth }

interface Encoded {
  readonly encode: keyof typeof encoders
  readonly args: ReadonlyArray<unknown>
  readonly bytes: string
}

const lines = gunzipSync(readFileSync(new URL("golden/former.jsonl.gz", import.meta.url)))
  .toString()
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line) as Decoded | Encoded)
const decoded = lines.filter((line) => "decode" in line)
const encoded = lines.filter((line) => "encode" in line)

const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString("hex") }
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== "object") return value
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(fields.map(([name, field]) => [name, plain(field)]))
}

const bytesOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(bytesOf)
  if (value === null) return undefined
  if (typeof value !== "object") return value
  if ("hex" in value) return new Uint8Array(Buffer.from(String(value.hex), "hex"))
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, bytesOf(field)]))
}

const write = ({ encode, args }: Encoded): string => {
  const encoder = encoders[encode] as (...args: ReadonlyArray<unknown>) => Uint8Array
  return Buffer.from(encoder(...(bytesOf(args) as ReadonlyArray<unknown>))).toString("hex")
}

const outcomeOf = ({ decode, version, isConnect, subscriptionsMax }: Decoded): object => {
  const noise = Buffer.alloc(40, 0xff)
  const bytes = Buffer.concat([noise, Buffer.from(decode, "hex"), noise]).subarray(40, -40)
  const limits = {
    ...defaultCodecLimits,
    subscriptionsPerPacketMax: subscriptionsMax ?? defaultCodecLimits.subscriptionsPerPacketMax
  }
  try {
    const packet = isConnect
      ? decodeConnect(bytes, limits)
      : decodePacket(bytes, version, { limits, topics: undefined })
    return { packet: plain(packet) }
  } catch (error) {
    if (!(error instanceof MqttError)) throw error
    const { reasonCode, message, connackCode311, connackVersion } = error
    const connackSizeMax = error.connackSizeMax === Infinity ? undefined : error.connackSizeMax
    return { error: plain({ reasonCode, message, connackCode311, connackVersion, connackSizeMax }) }
  }
}

describe("the former codec", () => {
  it("left as many packets as this says", () => {
    expect(decoded.length).toBe(3_743)
    expect(decoded.filter(({ packet }) => packet !== undefined).length).toBe(1_573)
    expect(encoded.length).toBe(900)
  })

  it("is equalled in every packet that is decoded, and in every reason why one is refused", () => {
    for (const line of decoded) {
      const { packet, error } = line
      expect({ bytes: line.decode, ...outcomeOf(line) }).toEqual({
        bytes: line.decode,
        ...(packet === undefined ? { error } : { packet })
      })
    }
  })

  it.each(["encodeConnack", "encodeSuback", "encodeUnsuback", "encodeAuth"] as const)(
    "is equalled in every byte of %s",
    (name) => {
      const ofThis = encoded.filter((line) => line.encode === name)
      expect(ofThis.length).toBeGreaterThanOrEqual(150)
      for (const line of ofThis) expect({ ...line, bytes: write(line) }).toEqual(line)
    }
  )

  it("is equalled in DISCONNECT, but that mqtt-packet leaves neither reason nor property length out", () => {
    const ofThis = encoded.filter((line) => line.encode === "encodeDisconnect")
    expect(ofThis.length).toBe(150)
    let longer = 0
    for (const line of ofThis) {
      const isShort = line.bytes.length <= 6
      const longForm = Buffer.of(0xe0, 2, Number(line.args[0]), 0).toString("hex")
      expect({ ...line, bytes: write(line) }).toEqual(isShort ? { ...line, bytes: longForm } : line)
      if (isShort) longer++
    }
    expect(longer).toBe(5)
  })
})
