import type { AckProperties } from "./Packet.ts"

/**
 * Encodes with `properties`, and while that is larger than `packetSizeMax`, without what may be left out: user
 * properties, then the reason string [MQTT-3.2.2-19, MQTT-3.2.2-20, MQTT-3.4.2-2, MQTT-3.4.2-3].
 */
export const encodeFitting = <Properties extends AckProperties>(
  properties: Properties,
  packetSizeMax: number,
  encode: (properties: Properties) => Uint8Array
): Uint8Array => {
  const packet = encode(properties)
  if (packet.length <= packetSizeMax) return packet
  const smaller = encode({ ...properties, userProperties: undefined } as Properties)
  if (smaller.length <= packetSizeMax) return smaller
  return encode({ ...properties, userProperties: undefined, reasonString: undefined } as Properties)
}
