import { MqttError } from "./Packet.ts"
import { ReasonCode } from "./ReasonCodes.ts"

/** The largest fixed header: the type and a remaining length of four bytes. */
const headerBytesMax = 5
const heldBytesMin = 64

/**
 * The total length of the packet that begins at `at`, in bytes, or 0 if `end` comes before its header does.
 * Throws `MqttError` for type 0 and for a fifth length byte as soon as they are there.
 */
const packetLength = (bytes: Uint8Array, at: number, end: number): number => {
  if (bytes[at]! < 0x10) throw new MqttError(ReasonCode.MalformedPacket, "packet type 0 is reserved")
  let remaining = 0
  for (let index = 1; index < headerBytesMax; index++) {
    if (at + index >= end) return 0
    const byte = bytes[at + index]!
    remaining += (byte & 0x7f) * 2 ** (7 * (index - 1))
    if (byte < 0x80) return 1 + index + remaining
  }
  throw new MqttError(ReasonCode.MalformedPacket, "the remaining length has more than four bytes")
}

/**
 * Cuts one connection's bytes into whole packets. It holds nothing between packets.
 * Measured (bench/mqttCodec.ts): less than a tenth of mqtt-packet's time for a PUBACK, most of it the view.
 */
export class Splitter {
  /** The most bytes of a whole packet with its fixed header. A new value holds from the next header on, even within a chunk. */
  sizeMax: number
  #held: Uint8Array | undefined = undefined
  #heldBytes = 0

  constructor(sizeMax: number) {
    this.sizeMax = sizeMax
  }

  /** Received bytes of a packet that is not complete yet; 0 when idle. The caller's stall deadline hangs on it. */
  get pendingBytes(): number {
    return this.#heldBytes
  }

  /** The packet that is not complete will not be: it is forgotten. */
  drop(): void {
    this.#held = undefined
    this.#heldBytes = 0
  }

  /**
   * Calls `onPacket` for each packet that `chunk` completes, an exact slice each.
   * A slice is valid only until `onPacket` returns: it may be a view into `chunk`, so who keeps bytes copies them.
   * Throws `MqttError` (0x81, 0x95) at the first header that may not be, and whatever `onPacket` throws:
   * then the rest of `chunk` is dropped and the splitter must not be used again.
   */
  push(chunk: Uint8Array, onPacket: (packet: Uint8Array) => void): void {
    const end = chunk.length
    let at = this.#held === undefined ? 0 : this.#continue(chunk, onPacket)
    while (at < end) {
      const length = this.#lengthAt(chunk, at, end)
      if (length === 0 || at + length > end) {
        this.#hold(chunk, at, length)
        return
      }
      onPacket(chunk.subarray(at, at + length))
      at += length
    }
  }

  #lengthAt(bytes: Uint8Array, at: number, end: number): number {
    const short = bytes[at + 1]
    const length =
      short !== undefined && short < 0x80 && bytes[at]! >= 0x10 && at + 1 < end
        ? short + 2
        : packetLength(bytes, at, end)
    if (length > this.sizeMax) {
      throw new MqttError(ReasonCode.PacketTooLarge, `a packet of ${length} bytes is over the limit of ${this.sizeMax}`)
    }
    return length
  }

  #hold(chunk: Uint8Array, at: number, length: number): void {
    const bytes = chunk.length - at
    const held = new Uint8Array(capacityFor(bytes, length))
    held.set(at === 0 ? chunk : chunk.subarray(at))
    this.#held = held
    this.#heldBytes = bytes
  }

  /** Completes the held packet. Returns how many bytes of `chunk` it took. */
  #continue(chunk: Uint8Array, onPacket: (packet: Uint8Array) => void): number {
    let at = 0
    let held = this.#held!
    let length = packetLength(held, 0, this.#heldBytes)
    while (length === 0) {
      if (at === chunk.length) return at
      held[this.#heldBytes++] = chunk[at++]!
      length = this.#lengthAt(held, 0, this.#heldBytes)
    }
    const taken = Math.min(length - this.#heldBytes, chunk.length - at)
    const bytes = this.#heldBytes + taken
    if (bytes > held.length) {
      held = new Uint8Array(capacityFor(bytes, length))
      held.set(this.#held!.subarray(0, this.#heldBytes))
      this.#held = held
    }
    held.set(chunk.subarray(at, at + taken), this.#heldBytes)
    this.#heldBytes = bytes
    if (bytes === length) {
      this.#held = undefined
      this.#heldBytes = 0
      onPacket(held.subarray(0, length))
    }
    return at + taken
  }
}

/** Twice what was received, so that a header that declares 256 MB reserves nothing by it; never more than needed. */
const capacityFor = (receivedBytes: number, length: number): number => {
  const capacity = Math.max(heldBytesMin, receivedBytes * 2)
  return length === 0 ? capacity : Math.max(headerBytesMax, Math.min(capacity, length))
}
