import type { ProtocolVersion } from "./Packet.ts"
import { PacketType } from "./Packet.ts"
import { malformed } from "./PacketReader.ts"

/**
 * Where the body of `packet` begins. Throws `MqttError` 0x81 unless its remaining length is that of the slice.
 * MQTT 3.1.1 does not ask for the shortest remaining length, MQTT 5 does [MQTT-1.5.5-1].
 */
export const bodyStart = (packet: Uint8Array, version: ProtocolVersion): number => {
  const short = packet[1]
  if (short !== undefined && short < 0x80) {
    if (packet.length !== short + 2) throw malformed("the remaining length is not that of the packet")
    return 2
  }
  let remaining = 0
  for (let index = 1; index <= 4; index++) {
    const byte = packet[index]
    if (byte === undefined) throw malformed("the fixed header is not complete")
    remaining += (byte & 0x7f) * 2 ** (7 * (index - 1))
    if (byte >= 0x80) continue
    if (byte === 0 && version === 5) throw malformed("the remaining length is longer than needed")
    if (packet.length !== remaining + index + 1) throw malformed("the remaining length is not that of the packet")
    return index + 1
  }
  throw malformed("the remaining length has more than four bytes")
}

/** Flags other than PUBLISH's are fixed [MQTT-2.1.3-1]; MQTT 3.1 has DUP in some, and leaves the others open. Type 0 is reserved. */
export const throwIfFlagsInvalid = (first: number, version: ProtocolVersion): void => {
  const type = first >>> 4
  if (type === 0) throw malformed("packet type 0 is reserved")
  if (version === 3) return
  const isTwo = type === PacketType.Pubrel || type === PacketType.Subscribe || type === PacketType.Unsubscribe
  if ((first & 0x0f) !== (isTwo ? 2 : 0)) throw malformed("the flags of the fixed header are not the packet type's")
}
