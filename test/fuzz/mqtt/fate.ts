/** Packets that servers send, by type: names and the values of their flags that may be. */
const names: ReadonlyMap<number, string> = new Map([
  [2, "CONNACK"],
  [3, "PUBLISH"],
  [4, "PUBACK"],
  [5, "PUBREC"],
  [6, "PUBREL"],
  [7, "PUBCOMP"],
  [9, "SUBACK"],
  [11, "UNSUBACK"],
  [13, "PINGRESP"],
  [14, "DISCONNECT"]
])

/** These may overtake others of their type: what needs no commit is answered at once. */
const unordered: ReadonlySet<string> = new Set(["PUBCOMP", "PUBREL"])

/** Whole packets. Throws for what is no sequence of packets that a server sends, CONNACK first and DISCONNECT last. */
const packetsOf = (bytes: Buffer): Array<readonly [name: string, hex: string]> => {
  const packets: Array<readonly [string, string]> = []
  for (let at = 0; at < bytes.length;) {
    let length = 0
    let end = at + 1
    for (let shift = 0; ; shift += 7) {
      length |= (bytes[end]! & 0x7f) << shift
      if (bytes[end++]! < 0x80) break
    }
    const name = names.get(bytes[at]! >>> 4)
    if (name === undefined) throw new Error(`the server sends a packet of type ${bytes[at]! >>> 4}`)
    if (end + length > bytes.length) throw new Error(`the server sends a part of a ${name}`)
    if ((name === "CONNACK") !== (at === 0)) throw new Error(`the server sends ${name} as packet ${packets.length + 1}`)
    if (packets.at(-1)?.[0] === "DISCONNECT") throw new Error(`the server sends ${name} behind DISCONNECT`)
    packets.push([name, bytes.toString("hex", at, end + length)])
    at = end + length
  }
  return packets
}

/** A PUBLISH without its packet id and DUP, which follow from what was sent when. */
const deliveryOf = (hex: string): string => {
  const bytes = Buffer.from(hex, "hex")
  const lengthEnd = bytes.findIndex((byte, i) => i > 0 && byte < 0x80) + 1
  const topicEnd = lengthEnd + 2 + bytes.readUInt16BE(lengthEnd)
  const restAt = wantsAck(hex) ? topicEnd + 2 : topicEnd
  return `${(bytes[0]! & ~8).toString(16)} ${bytes.toString("hex", lengthEnd, topicEnd)} ${bytes.toString("hex", restAt)}`
}

const wantsAck = (hex: string): boolean => (Number.parseInt(hex[1]!, 16) & 6) > 0

/** What a client was sent, where the order of packets of one type counts as far as it has to. */
export interface Sent {
  readonly answers: string
  readonly deliveries: string
  /** Those that want an acknowledgement, with their packet ids and in order. */
  readonly withIds: ReadonlyArray<string>
}

/** Throws as `packetsOf`. */
export const sentOf = (bytes: Buffer): Sent => {
  const byName = new Map<string, Array<string>>()
  for (const [name, hex] of packetsOf(bytes)) {
    const known = byName.get(name)
    if (known === undefined) byName.set(name, [hex])
    else known.push(hex)
  }
  const deliveries = byName.get("PUBLISH") ?? []
  byName.delete("PUBLISH")
  const lines: Array<string> = []
  for (const [name, all] of byName) lines.push(`${name} ${(unordered.has(name) ? all.sort() : all).join(" ")}`)
  return {
    answers: lines.sort().join("\n"),
    deliveries: deliveries.map(deliveryOf).sort().join("\n"),
    withIds: deliveries.filter(wantsAck)
  }
}
