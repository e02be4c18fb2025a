/** Why bytes are no Kafka message, or a value cannot be put on the wire. */
export type WireReason =
  | "truncated" // a field, or a declared length, goes past the end
  | "length" // a negative length where null is not allowed, or one over its limit
  | "too-large" // a message over the connection's limit, too many array elements
  | "range" // an integer that does not fit its field, or a number outside ±(2^53 - 1) to be written
  | "varint" // a variable-length integer of too many bytes
  | "utf8" // a string that is not UTF-8
  | "trailing" // bytes left over after a message or a tagged field
  | "version" // a version that is not declared
  | "foreign" // bytes of another protocol
  | "null" // null for a field that is not nullable in this version

/** The one error of the Kafka codecs: caught once per message, then the connection closes. */
export class WireError extends Error {
  override readonly name = "WireError"
  readonly reason: WireReason

  constructor(reason: WireReason, message: string) {
    super(message)
    this.reason = reason
  }
}

/** Elements of all arrays of one message together: a message of 16 MiB must not become gigabytes of objects. */
export const messageElementsMax = 500_000
/** Elements of one array. */
export const arrayElementsMax = 100_000
/** Kafka's own limit of a string, in bytes. */
export const stringBytesMax = 0x7fff

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * Reads Kafka's primitives from one message, and never past its end. Integers are big-endian. An int64 is a `number`; one
 * outside ±(2^53 - 1) is read as that bound: no offset, time or id is so far, and clients do ask for `Long.MAX_VALUE`.
 * A uuid is the 22 characters of unpadded base64url that Kafka prints.
 */
export class Reader {
  readonly #bytes: Buffer
  #at: number
  #elementsLeft = messageElementsMax

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (offset < 0 || offset > bytes.length) throw new WireError("truncated", `offset ${offset} of ${bytes.length}`)
    this.#at = offset
  }

  get offset(): number {
    return this.#at
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  /** Takes `length` bytes and returns where they begin. */
  #take(length: number): number {
    const at = this.#at
    if (length > this.#bytes.length - at) {
      throw new WireError("truncated", `${length} bytes wanted, ${this.#bytes.length - at} left`)
    }
    this.#at = at + length
    return at
  }

  #byte(at: number): number {
    return this.#bytes[at] as number
  }

  bool(): boolean {
    return this.#byte(this.#take(1)) !== 0
  }

  int8(): number {
    return (this.#byte(this.#take(1)) << 24) >> 24
  }

  int16(): number {
    return (this.uint16() << 16) >> 16
  }

  uint16(): number {
    const at = this.#take(2)
    return (this.#byte(at) << 8) | this.#byte(at + 1)
  }

  int32(): number {
    const at = this.#take(4)
    return (this.#byte(at) << 24) | (this.#byte(at + 1) << 16) | (this.#byte(at + 2) << 8) | this.#byte(at + 3)
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  int64(): number {
    const high = this.int32()
    const value = high * 0x1_0000_0000 + this.uint32()
    return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
  }

  float64(): number {
    return this.#bytes.readDoubleBE(this.#take(8))
  }

  /** Unsigned LEB128 of at most 5 bytes and 32 bits. */
  uvarint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte(this.#take(1))
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    const last = this.#byte(this.#take(1))
    if (last > 0x0f) throw new WireError("varint", "an unsigned varint over 32 bits")
    return (value | (last << 28)) >>> 0
  }

  /** Zigzag, 32 bits. */
  varint(): number {
    const value = this.uvarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** Zigzag, at most 10 bytes and 64 bits; the value within ±(2^53 - 1). */
  varlong(): number {
    let low = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte(this.#take(1))
      low |= BigInt(byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (low > 0xffff_ffff_ffff_ffffn) break
      const value = Number((low >> 1n) ^ -(low & 1n))
      if (!Number.isSafeInteger(value)) throw new WireError("range", "a varlong outside ±(2^53 - 1)")
      return value
    }
    throw new WireError("varint", "a varlong over 64 bits")
  }

  /** 16 bytes as 22 characters of unpadded base64url. */
  uuid(): string {
    const at = this.#take(16)
    return this.#bytes.toString("base64url", at, at + 16)
  }

  /** `length` bytes of strict UTF-8. */
  utf8(length: number): string {
    if (length < 0 || length > stringBytesMax) throw new WireError("length", `a string of ${length} bytes`)
    const at = this.#take(length)
    const end = at + length
    const bytes = this.#bytes
    for (let i = at; i < end; i++) {
      // The native decoders cost a call each; most strings are short ASCII, for which latin1 is the cheapest.
      if ((bytes[i] as number) >= 0x80) return this.#decode(at, end)
    }
    return bytes.toString("latin1", at, end)
  }

  #decode(at: number, end: number): string {
    try {
      return strictUtf8.decode(this.#bytes.subarray(at, end))
    } catch {
      throw new WireError("utf8", "a string that is not UTF-8")
    }
  }

  /** The next `length` bytes as a view of the message. */
  view(length: number): Uint8Array {
    if (length < 0) throw new WireError("length", `bytes of length ${length}`)
    const at = this.#take(length)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length)
  }

  /** The next `length` bytes, copied: what outlives the message must not keep it alive. */
  copy(length: number): Uint8Array {
    return new Uint8Array(this.view(length))
  }

  skip(length: number): void {
    this.#take(length)
  }

  /** Checks the declared length of an array whose elements take at least `elementBytesMin` bytes each. */
  elements(count: number, elementBytesMin: number): number {
    if (count < 0) throw new WireError("length", `an array of ${count} elements`)
    if (count > arrayElementsMax || count > this.#elementsLeft) {
      throw new WireError("too-large", `an array of ${count} elements`)
    }
    if (count * elementBytesMin > this.remaining) {
      throw new WireError("truncated", `${count} elements in ${this.remaining} bytes`)
    }
    this.#elementsLeft -= count
    return count
  }

  end(): void {
    if (this.remaining > 0) throw new WireError("trailing", `${this.remaining} bytes after the message`)
  }
}

const slabBytes = 16 * 1024
const prefixBytes = 4
/** From this size on, bytes are passed on by reference: copying them would cost more than one more chunk. */
const referenceBytesMin = 1024
/** Up to this length a loop over the characters beats a native call. */
const shortStringChars = 32

/** The rest of the last finished writer's slab. A writer takes it away, so that two open writers never share one. */
let spare: { readonly buffer: Buffer; readonly at: number } | undefined

/**
 * Writes Kafka's primitives, big-endian, into slabs that consecutive writers share from front to back; written bytes are
 * never written over, so chunks can wait in a socket. Bytes of 1 KB and more become chunks of their own, by reference:
 * they must not change until they are sent. A number that does not fit its field is a `range` error.
 */
export class Writer {
  readonly #chunks: Array<Uint8Array> = []
  #sealedBytes = 0
  #buffer: Buffer
  /** Where the unsealed piece begins, in `#buffer`. */
  #start: number
  #at: number
  readonly #first: Buffer
  readonly #firstStart: number

  /** `capacityBytes`: a private first buffer of that size, for a short piece; otherwise the shared slab. */
  constructor(capacityBytes?: number) {
    const taken = capacityBytes === undefined ? spare : undefined
    if (taken !== undefined) spare = undefined
    this.#buffer = taken?.buffer ?? Buffer.allocUnsafeSlow(prefixBytes + (capacityBytes ?? slabBytes - prefixBytes))
    this.#start = taken?.at ?? 0
    this.#first = this.#buffer
    this.#firstStart = this.#start
    this.#at = this.#start + prefixBytes
  }

  /** Bytes written so far, without the size prefix. */
  get length(): number {
    return this.#sealedBytes + this.#at - this.#start - prefixBytes
  }

  #seal(): void {
    const length = this.#at - this.#start
    if (length === 0) return
    this.#chunks.push(new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + this.#start, length))
    this.#sealedBytes += length
    this.#start = this.#at
  }

  /** Makes room for `length` bytes in one piece, and returns where they go. */
  #grow(length: number): number {
    if (this.#at + length > this.#buffer.length) {
      this.#seal()
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(slabBytes, length))
      this.#start = 0
      this.#at = 0
    }
    const at = this.#at
    this.#at = at + length
    return at
  }

  bool(value: boolean): void {
    this.#put8(value ? 1 : 0)
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw outOfRange(value, "int8")
    this.#put8(value)
  }

  /** The buffer is looked up behind `#grow`, which may take another one. */
  #put8(value: number): void {
    const at = this.#grow(1)
    this.#buffer[at] = value
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw outOfRange(value, "int16")
    this.#put16(value)
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw outOfRange(value, "uint16")
    this.#put16(value)
  }

  #put16(value: number): void {
    const at = this.#grow(2)
    const buffer = this.#buffer
    buffer[at] = value >> 8
    buffer[at + 1] = value
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw outOfRange(value, "int32")
    this.#put32(value)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw outOfRange(value, "uint32")
    this.#put32(value)
  }

  #put32(value: number): void {
    const at = this.#grow(4)
    put32At(this.#buffer, at, value)
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw outOfRange(value, "int64")
    const at = this.#grow(8)
    put32At(this.#buffer, at, Math.floor(value / 0x1_0000_0000))
    put32At(this.#buffer, at + 4, value)
  }

  float64(value: number): void {
    const at = this.#grow(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  uvarint(value: number): void {
    if (value >>> 0 !== value) throw outOfRange(value, "uvarint")
    let rest = value
    let at = this.#grow(uvarintBytes(value))
    const buffer = this.#buffer
    for (; rest > 0x7f; rest >>>= 7) buffer[at++] = (rest & 0x7f) | 0x80
    buffer[at] = rest
  }

  /** Zigzag, 32 bits. */
  varint(value: number): void {
    if ((value | 0) !== value) throw outOfRange(value, "varint")
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** Zigzag, 64 bits; the value within ±(2^53 - 1). */
  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) throw outOfRange(value, "varlong")
    let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
    for (; rest > 0x7fn; rest >>= 7n) this.#put8(Number(rest & 0x7fn) | 0x80)
    this.#put8(Number(rest))
  }

  /** 22 characters of unpadded base64url as 16 bytes. */
  uuid(value: string): void {
    const bytes = Buffer.from(value, "base64url")
    if (bytes.length !== 16 || value.length !== 22) throw new WireError("length", `not a uuid: ${value}`)
    this.raw(bytes)
  }

  /** A string with its length before it: uvarint N + 1 when compact, int16 otherwise. Lone surrogates become U+FFFD. */
  string(value: string, compact: boolean): void {
    const length = utf8Bytes(value)
    if (length > stringBytesMax) throw new WireError("length", `a string of ${length} bytes`)
    if (compact) this.uvarint(length + 1)
    else this.#put16(length)
    const at = this.#grow(length)
    const buffer = this.#buffer
    if (length !== value.length) buffer.write(value, at, length, "utf8")
    else if (length > shortStringChars) buffer.write(value, at, length, "latin1")
    else for (let i = 0; i < length; i++) buffer[at + i] = value.charCodeAt(i)
  }

  /** Bytes without a length before them. */
  raw(bytes: Uint8Array): void {
    if (bytes.length >= referenceBytesMin) {
      this.#seal()
      this.#chunks.push(bytes)
      this.#sealedBytes += bytes.length
      return
    }
    const at = this.#grow(bytes.length)
    this.#buffer.set(bytes, at)
  }

  /** All that `other` has written. `other` is spent. */
  append(other: Writer): void {
    for (const chunk of other.chunks()) this.raw(chunk)
  }

  /** The whole message: a size prefix of 4 bytes, then what was written. The writer is spent. */
  finish(): Array<Uint8Array> {
    put32At(this.#first, this.#firstStart, this.length)
    this.#seal()
    this.#giveBack()
    return this.#chunks
  }

  /** Returns the bytes that were written, without a size prefix. The writer is spent. */
  chunks(): Array<Uint8Array> {
    this.#seal()
    this.#giveBack()
    const [first, ...rest] = this.#chunks
    return first === undefined || first.length === prefixBytes ? rest : [first.subarray(prefixBytes), ...rest]
  }

  #giveBack(): void {
    if (this.#buffer.length === slabBytes && slabBytes - this.#at >= referenceBytesMin) {
      spare = { buffer: this.#buffer, at: this.#at }
    }
  }
}

function outOfRange(value: number, type: string): WireError {
  return new WireError("range", `${value} is no ${type}`)
}

function put32At(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
}

function uvarintBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5
}

function utf8Bytes(value: string): number {
  if (value.length > shortStringChars) return Buffer.byteLength(value)
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0x7f) return Buffer.byteLength(value)
  return value.length
}
