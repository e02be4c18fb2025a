const remainingLength = (length: number): Array<number> => {
  const bytes: Array<number> = []
  let rest = length
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
  return bytes
}

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, "utf8")
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

const packet = (firstByte: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([firstByte, ...remainingLength(body.length)]), body])

/** MQTT 3.1.1, clean session, no will, nobody's name. */
export const connectPacket = (clientId: string, keepAliveS: number): Buffer => {
  const variable = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x02, keepAliveS >> 8, keepAliveS & 0xff])
  return packet(0x10, Buffer.concat([variable, text(clientId)]))
}

export const connackBytes = 4
/** To a SUBSCRIBE of one filter. */
export const subackBytes = 5
export const subackFirstByte = 0x90
export const pubackBytes = 4
export const pubackFirstByte = 0x40

export const publishPacket = (topic: string, payload: Uint8Array, qos: 0 | 1, packetId: number): Buffer => {
  const id = qos === 0 ? [] : [Buffer.from([packetId >> 8, packetId & 0xff])]
  return packet(0x30 | (qos << 1), Buffer.concat([text(topic), ...id, payload]))
}

/** One filter, packet id 1. */
export const subscribePacket = (filter: string, qos: 0 | 1): Buffer =>
  packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(filter), Buffer.from([qos])]))

export const disconnectPacket = Buffer.from([0xe0, 0])
