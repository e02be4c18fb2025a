import { describe, expect, it } from "vitest"
import { CloseCode, closeFrame, frameHead, FrameReader, WebSocketError } from "../../src/websocket/frames.ts"

const mask = [0x11, 0x22, 0x33, 0x44]

interface Frame {
  readonly opcode: number
  readonly payload?: string | Uint8Array
  readonly isFinal?: boolean
  readonly masked?: boolean
  readonly reserved?: number
  /** Bytes of the length, more than are needed. */
  readonly lengthBytes?: 2 | 8
}

const lengthOf = (length: number, bytes: Frame["lengthBytes"]): Array<number> => {
  if (bytes === 8 || length >= 0x1_0000) {
    const field = Buffer.alloc(8)
    field.writeBigUInt64BE(BigInt(length))
    return [127, ...field]
  }
  return bytes === 2 || length > 125 ? [126, length >>> 8, length & 0xff] : [length]
}

const frame = ({ opcode, payload = "", isFinal = true, masked = true, reserved = 0, lengthBytes }: Frame): Buffer => {
  const bytes = Buffer.from(payload as string)
  const [short, ...length] = lengthOf(bytes.length, lengthBytes)
  const head = [(isFinal ? 0x80 : 0) | reserved | opcode, (masked ? 0x80 : 0) | short!, ...length]
  if (!masked) return Buffer.concat([Buffer.from(head), bytes])
  return Buffer.concat([Buffer.from([...head, ...mask]), bytes.map((byte, i) => byte ^ mask[i & 3]!)])
}

const read = (chunks: Iterable<Buffer>) => {
  const seen: Array<string> = []
  const bytes: Array<Buffer> = []
  const reader = new FrameReader({
    onBytes: (part) => void bytes.push(Buffer.from(part)),
    onPing: (payload) => void seen.push(`ping ${Buffer.from(payload)}`),
    onClose: () => void seen.push("close")
  })
  for (const chunk of chunks) reader.push(Buffer.from(chunk))
  return { seen, text: Buffer.concat(bytes).toString() }
}

const refused = (...frames: ReadonlyArray<Frame>): unknown => {
  try {
    read(frames.map(frame))
  } catch (error) {
    return error instanceof WebSocketError ? error.code : error
  }
  return "taken"
}

const large = "0123456789".repeat(7000)
const talk = Buffer.concat([
  frame({ opcode: 2, payload: "one" }),
  frame({ opcode: 2, payload: "two,", isFinal: false }),
  frame({ opcode: 9, payload: "p" }),
  frame({ opcode: 0, payload: "", isFinal: false }),
  frame({ opcode: 10, payload: "unasked" }),
  frame({ opcode: 0, payload: "three" }),
  frame({ opcode: 2, payload: "x".repeat(126) }),
  frame({ opcode: 2, payload: "y", lengthBytes: 2 }),
  frame({ opcode: 2, payload: "z", lengthBytes: 8 }),
  frame({ opcode: 9, payload: "q".repeat(125) }),
  frame({ opcode: 8, payload: "\x03\xe8" }),
  frame({ opcode: 2, payload: "after the end" })
])
const whole = { seen: ["ping p", `ping ${"q".repeat(125)}`, "close"], text: `onetwo,three${"x".repeat(126)}yz` }

describe("a client's frames", () => {
  it("are one stream of bytes, however they and what carries them are cut", () => {
    expect(read([talk])).toEqual(whole)
    expect(read(Array.from(talk, (byte) => Buffer.of(byte)))).toEqual(whole)
    for (let cut = 1; cut < talk.length; cut++) expect(read([talk.subarray(0, cut), talk.subarray(cut)])).toEqual(whole)
  })

  it("may be of any size", () => {
    const bytes = frame({ opcode: 2, payload: large })
    expect(read([bytes.subarray(0, 9), bytes.subarray(9, 40_001), bytes.subarray(40_001)]).text).toBe(large)
  })

  it.each<[string, ReadonlyArray<Frame>, number]>([
    ["text", [{ opcode: 1, payload: "x" }], CloseCode.UnsupportedData],
    ["without a mask", [{ opcode: 2, payload: "x", masked: false }], CloseCode.ProtocolError],
    ["with a reserved bit", [{ opcode: 2, reserved: 0x40 }], CloseCode.ProtocolError],
    ["of an opcode that is none", [{ opcode: 3 }], CloseCode.ProtocolError],
    ["of a control opcode that is none", [{ opcode: 11 }], CloseCode.ProtocolError],
    ["a ping in parts", [{ opcode: 9, isFinal: false }], CloseCode.ProtocolError],
    ["a ping of 126 bytes", [{ opcode: 9, payload: "x".repeat(126) }], CloseCode.ProtocolError],
    ["a continuation of nothing", [{ opcode: 0 }], CloseCode.ProtocolError],
    ["a message within another", [{ opcode: 2, isFinal: false }, { opcode: 2 }], CloseCode.ProtocolError]
  ])("are refused: %s", (_name, frames, code) => {
    expect(refused({ opcode: 2, payload: "before" }, ...frames)).toBe(code)
  })

  it("are not read behind one that was refused", () => {
    const bytes: Array<number> = []
    const reader = new FrameReader({ onBytes: (part) => void bytes.push(...part), onPing: () => {}, onClose: () => {} })
    expect(() => reader.push(frame({ opcode: 1, payload: "x" }))).toThrow(WebSocketError)
    reader.push(frame({ opcode: 2, payload: "x" }))
    expect(bytes).toEqual([])
  })
})

describe("a server's frames", () => {
  it("have the shortest head", () => {
    expect([...frameHead("binary", 125)]).toEqual([0x82, 125])
    expect([...frameHead("pong", 3)]).toEqual([0x8a, 3])
    expect([...frameHead("binary", 126)]).toEqual([0x82, 126, 0, 126])
    expect([...frameHead("binary", 0xffff)]).toEqual([0x82, 126, 0xff, 0xff])
    expect([...frameHead("binary", 0x1_0000)]).toEqual([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])
    expect([...closeFrame(1003)]).toEqual([0x88, 2, 0x03, 0xeb])
  })
})
