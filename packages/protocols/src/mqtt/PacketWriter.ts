const capacityMin = 4_096
const capacityKeptMax = 65_536

/** The largest remaining length that a packet can have, in bytes. */
export const remainingLengthMax = 268_435_455

/** Bytes that `value` takes as a variable byte integer. Throws `RangeError` beyond four. */
export const variableBytes = (value: number): number => {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value <= remainingLengthMax) return 4
  throw new RangeError(`${value} is over what MQTT can express as a length`)
}

/** Writes `value` at `at`. Returns the position after it. */
export const writeVariable = (target: Uint8Array, at: number, value: number): number => {
  let rest = value
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at++] = rest
  return at
}

/** Whether `text` can be sent as a string: without NUL and at most 65,535 bytes. Lone surrogates go out as U+FFFD. */
export const fitsString = (text: string): boolean => Buffer.byteLength(text) <= 0xffff && !text.includes("\0")

/** A growing scratch buffer, used again for packet after packet. */
export class PacketWriter {
  #bytes = Buffer.allocUnsafeSlow(capacityMin)
  #length = 0

  get length(): number {
    return this.#length
  }

  reset(): void {
    this.#length = 0
    if (this.#bytes.length > capacityKeptMax) this.#bytes = Buffer.allocUnsafeSlow(capacityMin)
  }

  copyTo(target: Uint8Array, at: number): void {
    target.set(this.#bytes.subarray(0, this.#length), at)
  }

  /** Replaces `#bytes` when it grows: `this.#bytes` must be evaluated after the call. Returns where to write. */
  #reserve(length: number): number {
    const at = this.#length
    const needed = at + length
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, at)
      this.#bytes = grown
    }
    this.#length = needed
    return at
  }

  uint8(value: number): void {
    const at = this.#reserve(1)
    this.#bytes.writeUInt8(value, at)
  }

  uint16(value: number): void {
    const at = this.#reserve(2)
    this.#bytes.writeUInt16BE(value, at)
  }

  uint32(value: number): void {
    const at = this.#reserve(4)
    this.#bytes.writeUInt32BE(value, at)
  }

  variable(value: number): void {
    const at = this.#reserve(variableBytes(value))
    writeVariable(this.#bytes, at, value)
  }

  /** Throws `RangeError` unless `fitsString`. */
  string(text: string): void {
    const length = Buffer.byteLength(text)
    if (length > 0xffff || text.includes("\0")) throw new RangeError("a string does not fit MQTT")
    this.uint16(length)
    const at = this.#reserve(length)
    this.#bytes.write(text, at, "utf8")
  }

  /** Throws `RangeError` over 65,535 bytes. */
  binary(bytes: Uint8Array): void {
    this.uint16(bytes.length)
    this.raw(bytes)
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
  }

  append(other: PacketWriter): void {
    const at = this.#reserve(other.#length)
    other.copyTo(this.#bytes, at)
  }
}
