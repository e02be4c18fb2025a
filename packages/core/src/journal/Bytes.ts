/** Growing little-endian writer and bounded reader for what the journal keeps. Whole numbers are below 2^53. */

const twoTo32 = 0x1_0000_0000

export class ByteWriter {
  #buffer: Buffer
  #at = 0

  constructor(capacity = 4096) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity)
  }

  get length(): number {
    return this.#at
  }

  /** Bytes that it takes in memory. */
  get capacity(): number {
    return this.#buffer.length
  }

  reset(): void {
    this.#at = 0
  }

  /** Bytes written so far; valid until the next write. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }

  u8(value: number): void {
    this.#room(1)
    this.#buffer[this.#at++] = value
  }

  u16(value: number): void {
    this.#room(2)
    this.#at = this.#buffer.writeUInt16LE(value, this.#at)
  }

  u32(value: number): void {
    this.#room(4)
    this.#at = this.#buffer.writeUInt32LE(value >>> 0, this.#at)
  }

  /** Two's complement; any whole number within ±2^53. */
  i64(value: number): void {
    this.#room(8)
    this.#at = this.#buffer.writeUInt32LE(((value % twoTo32) + twoTo32) % twoTo32, this.#at)
    this.#at = this.#buffer.writeInt32LE(Math.floor(value / twoTo32), this.#at)
  }

  varint(value: number): void {
    this.#room(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#at++] = rest
  }

  text(value: string): void {
    const length = Buffer.byteLength(value)
    this.varint(length)
    this.#room(length)
    this.#at += this.#buffer.write(value, this.#at, "utf8")
  }

  bytes(value: Uint8Array): void {
    this.#room(value.length)
    this.#buffer.set(value, this.#at)
    this.#at += value.length
  }
}

const sparesMax = 4
const spareBytesMax = 1024 * 1024
const spares: Array<ByteWriter> = []

/** A writer to use for a while: a new one for each commit was an eighth of the CPU of a turn with one command. */
export const borrowWriter = (): ByteWriter => spares.pop() ?? new ByteWriter()

/** Nobody may hold a view of it any more. */
export const returnWriter = (writer: ByteWriter): void => {
  if (spares.length >= sparesMax || writer.capacity > spareBytesMax) return
  writer.reset()
  spares.push(writer)
}

/** Thrown for bytes that end early or lie: the caller names the place. */
export class TornBytes extends Error {
  readonly _tag = "TornBytes"
}

export class ByteReader {
  readonly #buffer: Buffer
  readonly #end: number
  at: number

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.#buffer = buffer
    this.at = at
    this.#end = end
  }

  get done(): boolean {
    return this.at >= this.#end
  }

  skip(bytes: number): number {
    const from = this.at
    if (bytes < 0 || from + bytes > this.#end) throw new TornBytes(`${bytes} bytes wanted at ${from} of ${this.#end}`)
    this.at = from + bytes
    return from
  }

  u8(): number {
    return this.#buffer[this.skip(1)]!
  }

  u16(): number {
    return this.#buffer.readUInt16LE(this.skip(2))
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.skip(4))
  }

  i64(): number {
    const from = this.skip(8)
    return this.#buffer.readInt32LE(from + 4) * twoTo32 + this.#buffer.readUInt32LE(from)
  }

  varint(): number {
    let value = 0
    let unit = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) return value
      unit *= 0x80
    }
    throw new TornBytes(`varint too long at ${this.at}`)
  }

  text(): string {
    const length = this.varint()
    const from = this.skip(length)
    return this.#buffer.toString("utf8", from, from + length)
  }

  bytes(length: number): Buffer {
    const from = this.skip(length)
    return this.#buffer.subarray(from, from + length)
  }
}
