/** Why a connection is closed (RFC 6455, 7.4.1). */
export const CloseCode = { Normal: 1000, ProtocolError: 1002, UnsupportedData: 1003 } as const

/** The client sent what it may not; the connection is to be closed with `code`. */
export class WebSocketError extends Error {
  readonly _tag = "WebSocketError"
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.name = "WebSocketError"
    this.code = code
  }
}

const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const

const finBit = 0x80
const maskBit = 0x80
const reservedBits = 0x70
const opcodeBits = 0x0f
const controlBit = 0x08
const controlBytesMax = 125
const headBytesMax = 14
const maskBytes = 4

export interface FrameEvents {
  /** The next bytes of a binary message, valid until the call returns. Where frames and messages end is not told. */
  readonly onBytes: (bytes: Uint8Array) => void
  /** To be answered with a pong of the same payload. */
  readonly onPing: (payload: Uint8Array) => void
  /** The client closes; nothing that comes after it is read. */
  readonly onClose: () => void
}

/**
 * A client's frames as a stream of bytes (RFC 6455, 5): nothing is held but a frame's head and the payload of a control
 * frame, so a message may be of any size. Extensions and text are not taken.
 */
export class FrameReader {
  readonly #events: FrameEvents
  readonly #head = new Uint8Array(headBytesMax)
  #headBytes = 0
  /** The payload's bytes that have not come yet; -1 while the head is not complete. */
  #left = -1
  #maskAt = 0
  /** A message has begun and not ended. */
  #isInMessage = false
  #control: Uint8Array | undefined
  #isClosed = false

  constructor(events: FrameEvents) {
    this.#events = events
  }

  /** `chunk` is unmasked in place. Throws `WebSocketError`, then reads nothing more. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.#isClosed) {
      if (this.#left < 0) this.#pushHead(chunk[at++]!)
      else at = this.#pushPayload(chunk, at)
    }
  }

  #pushHead(byte: number): void {
    const head = this.#head
    head[this.#headBytes++] = byte
    if (this.#headBytes === 2) this.#checkHead(head[0]!, byte)
    if (this.#headBytes < 2 || this.#headBytes < 2 + lengthBytes(head) + maskBytes) return
    this.#left = payloadLength(head)
    this.#maskAt = 0
    if (this.#isControl) this.#control = new Uint8Array(this.#left)
    if (this.#left === 0) this.#end()
  }

  #checkHead(first: number, second: number): void {
    const opcode = first & opcodeBits
    const isFinal = (first & finBit) !== 0
    if ((first & reservedBits) !== 0) this.#refuse(CloseCode.ProtocolError, "a reserved bit is set")
    if ((second & maskBit) === 0) this.#refuse(CloseCode.ProtocolError, "a frame is not masked")
    if (opcode === Opcode.Text) this.#refuse(CloseCode.UnsupportedData, "a text frame")
    if ((opcode & controlBit) !== 0) {
      if (opcode > Opcode.Pong) this.#refuse(CloseCode.ProtocolError, `opcode ${opcode}`)
      if (!isFinal) this.#refuse(CloseCode.ProtocolError, "a control frame in parts")
      if ((second & ~maskBit) > controlBytesMax) this.#refuse(CloseCode.ProtocolError, "a control frame is too long")
      return
    }
    if (opcode > Opcode.Binary) this.#refuse(CloseCode.ProtocolError, `opcode ${opcode}`)
    if ((opcode === Opcode.Continuation) !== this.#isInMessage) {
      this.#refuse(
        CloseCode.ProtocolError,
        this.#isInMessage ? "a message within another" : "a continuation of nothing"
      )
    }
    this.#isInMessage = !isFinal
  }

  #refuse(code: number, message: string): never {
    this.#isClosed = true
    throw new WebSocketError(code, message)
  }

  get #isControl(): boolean {
    return (this.#head[0]! & controlBit) !== 0
  }

  #pushPayload(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    const bytes = chunk.subarray(at, end)
    this.#unmask(bytes)
    if (this.#control !== undefined) this.#control.set(bytes, this.#control.length - this.#left)
    this.#left -= bytes.length
    if (this.#control === undefined) this.#events.onBytes(bytes)
    if (this.#left === 0) this.#end()
    return end
  }

  #unmask(bytes: Uint8Array): void {
    const head = this.#head
    const maskFrom = this.#headBytes - maskBytes
    let maskAt = this.#maskAt
    for (let i = 0; i < bytes.length; i++) {
      bytes[i]! ^= head[maskFrom + maskAt]!
      maskAt = (maskAt + 1) & 3
    }
    this.#maskAt = maskAt
  }

  #end(): void {
    const opcode = this.#head[0]! & opcodeBits
    const payload = this.#control
    this.#control = undefined
    this.#headBytes = 0
    this.#left = -1
    if (opcode === Opcode.Ping) this.#events.onPing(payload!)
    else if (opcode === Opcode.Close) {
      this.#isClosed = true
      this.#events.onClose()
    }
  }
}

/** The number of bytes of the length that follows the head's first two bytes. */
const lengthBytes = (head: Uint8Array): number => {
  const short = head[1]! & ~maskBit
  return short === 126 ? 2 : short === 127 ? 8 : 0
}

/** The payload's length by a complete head. Nobody can send a payload whose length a number cannot hold exactly. */
const payloadLength = (head: Uint8Array): number => {
  let length = 0
  const bytes = lengthBytes(head)
  if (bytes === 0) return head[1]! & ~maskBit
  for (let i = 0; i < bytes; i++) length = length * 256 + head[2 + i]!
  return length
}

/** The head of a server's frame, which is not masked; its payload follows. */
export const frameHead = (opcode: "binary" | "close" | "pong", payloadBytes: number): Uint8Array => {
  const opcodes = { binary: Opcode.Binary, close: Opcode.Close, pong: Opcode.Pong }
  const first = finBit | opcodes[opcode]
  if (payloadBytes < 126) return Uint8Array.of(first, payloadBytes)
  if (payloadBytes < 0x1_0000) return Uint8Array.of(first, 126, payloadBytes >>> 8, payloadBytes & 0xff)
  const head = Buffer.alloc(10)
  head[0] = first
  head[1] = 127
  head.writeUIntBE(payloadBytes, 4, 6)
  return head
}

/** A whole frame. */
export const closeFrame = (code: number): Uint8Array => Buffer.of(...frameHead("close", 2), code >>> 8, code & 0xff)
