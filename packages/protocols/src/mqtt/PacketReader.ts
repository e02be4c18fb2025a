import type { CodecLimits } from "./Packet.ts"
import { MqttError } from "./Packet.ts"
import { ReasonCode } from "./ReasonCodes.ts"
import { checkString, checkTopicName, decodeString, decodeTopicName } from "./TopicNames.ts"

export const malformed = (message: string): MqttError => new MqttError(ReasonCode.MalformedPacket, message)

export const protocolError = (message: string): MqttError => new MqttError(ReasonCode.ProtocolError, message)

/** Reads fields one after the other and never past `end`. Methods throw `MqttError` 0x81 for what is not there. */
export class PacketReader {
  readonly bytes: Uint8Array
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get remaining(): number {
    return this.end - this.at
  }

  /** Moves past `length` bytes. Returns where they begin. */
  skip(length: number): number {
    const start = this.at
    if (length > this.end - start) throw malformed("a field is longer than its packet")
    this.at = start + length
    return start
  }

  uint8(): number {
    return this.bytes[this.skip(1)]!
  }

  uint16(): number {
    const start = this.skip(2)
    return (this.bytes[start]! << 8) | this.bytes[start + 1]!
  }

  uint32(): number {
    return this.uint16() * 0x10000 + this.uint16()
  }

  /** A variable byte integer in as few bytes as possible [MQTT-1.5.5-1]. */
  variable(): number {
    let value = 0
    for (let index = 0; index < 4; index++) {
      const byte = this.uint8()
      value += (byte & 0x7f) * 2 ** (7 * index)
      if (byte >= 0x80) continue
      if (byte === 0 && index > 0) throw malformed("a variable byte integer is longer than needed")
      return value
    }
    throw malformed("a variable byte integer has more than four bytes")
  }

  string(): string {
    const length = this.uint16()
    const start = this.skip(length)
    return decodeString(this.bytes, start, start + length)
  }

  /** Moves past a string. */
  passString(): void {
    const length = this.uint16()
    const start = this.skip(length)
    checkString(this.bytes, start, start + length)
  }

  /** Throws as `decodeTopicName` does. */
  topicName(limits: CodecLimits): string {
    const length = this.uint16()
    const start = this.skip(length)
    return decodeTopicName(this.bytes, start, start + length, limits)
  }

  /** Moves past a topic name. Throws as `checkTopicName` does. */
  passTopicName(limits: CodecLimits): void {
    const length = this.uint16()
    const start = this.skip(length)
    checkTopicName(this.bytes, start, start + length, limits)
  }

  /** A view. */
  binary(): Uint8Array {
    const length = this.uint16()
    const start = this.skip(length)
    return this.bytes.subarray(start, start + length)
  }

  /** Nonzero [MQTT-2.2.1-3], else `MqttError` 0x82. */
  packetId(): number {
    const packetId = this.uint16()
    if (packetId === 0) throw protocolError("packet id 0")
    return packetId
  }

  /** Returns the bytes that were read since `start`, as a view. */
  since(start: number): Uint8Array {
    return this.bytes.subarray(start, this.at)
  }

  throwUnlessAtEnd(): void {
    if (this.at !== this.end) throw malformed("bytes follow the last field of a packet")
  }
}
