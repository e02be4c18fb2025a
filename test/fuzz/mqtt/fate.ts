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

/** A Variable Byte Integer: its value, and where it ends. */
const variableAt = (bytes: Buffer, at: number): readonly [value: number, end: number] => {
  let value = 0
  let end = at
  for (let shift = 0; ; shift += 7) {
    value |= (bytes[end]! & 0x7f) << shift
    if (bytes[end++]! < 0x80) return [value, end]
  }
}

/** Whole packets. Throws for what is no sequence of packets that a server sends, CONNACK first and DISCONNECT last. */
const packetsOf = (bytes: Buffer): Array<readonly [name: string, hex: string]> => {
  const packets: Array<readonly [string, string]> = []
  for (let at = 0; at < bytes.length;) {
    const [length, end] = variableAt(bytes, at + 1)
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

/** What a client was sent of a message, whenever it was. */
export interface Delivery {
  readonly topic: string
  readonly wantsAck: boolean
  /** All but the packet id, DUP and the topic alias, which follow from what was sent when. */
  readonly text: string
}

const aliasId = 0x23
/** How long those of a PUBLISH are that have always the same length, with their identifier. */
const propertyBytes: Readonly<Record<number, number>> = { 0x01: 2, 0x02: 5, [aliasId]: 3 }
/** The others but the subscription identifier: so many strings, each behind its length. */
const propertyStrings: Readonly<Record<number, number>> = { 0x03: 1, 0x08: 1, 0x09: 1, 0x26: 2 }

const propertyEnd = (bytes: Buffer, at: number): number => {
  const length = propertyBytes[bytes[at]!]
  if (length !== undefined) return at + length
  const strings = propertyStrings[bytes[at]!]
  if (strings === undefined) return variableAt(bytes, at + 1)[1]
  let end = at + 1
  for (let i = 0; i < strings; i++) end += 2 + bytes.readUInt16BE(end)
  return end
}

/** The deliveries of a connection, whose topic aliases count from its beginning. */
class Deliveries {
  readonly #version: number
  readonly #topics = new Map<number, string>()

  constructor(version: number) {
    this.#version = version
  }

  of(hex: string): Delivery {
    const bytes = Buffer.from(hex, "hex")
    const start = variableAt(bytes, 1)[1]
    const topicEnd = start + 2 + bytes.readUInt16BE(start)
    const topic = bytes.toString("utf8", start + 2, topicEnd)
    const first = (bytes[0]! & ~8).toString(16)
    const restAt = wantsAck(hex) ? topicEnd + 2 : topicEnd
    const of = (name: string, rest: string): Delivery => ({
      topic: name,
      wantsAck: wantsAck(hex),
      text: `${first} ${name} ${rest}`
    })
    if (this.#version !== 5) return of(topic, bytes.toString("hex", restAt))
    const [length, propertiesAt] = variableAt(bytes, restAt)
    const end = propertiesAt + length
    let name = topic
    let properties = ""
    for (let at = propertiesAt; at < end;) {
      const next = propertyEnd(bytes, at)
      if (bytes[at] === aliasId) name = this.#named(bytes.readUInt16BE(at + 1), topic)
      else properties += bytes.toString("hex", at, next)
      at = next
    }
    return of(name, `${properties} ${bytes.toString("hex", end)}`)
  }

  #named(alias: number, topic: string): string {
    if (topic !== "") this.#topics.set(alias, topic)
    return topic === "" ? (this.#topics.get(alias) ?? `alias ${alias}`) : topic
  }
}

/** The packet id of a PUBLISH of QoS 1 or 2, or of a PUBREL. */
const packetIdOf = (hex: string): number => {
  const bytes = Buffer.from(hex, "hex")
  const start = variableAt(bytes, 1)[1]
  const isPublish = bytes[0]! >>> 4 === 3
  return bytes.readUInt16BE(isPublish ? start + 2 + bytes.readUInt16BE(start) : start)
}

const wantsAck = (hex: string): boolean => (Number.parseInt(hex[1]!, 16) & 6) > 0

/** What a client was sent, where the order of packets of one type counts as far as it has to. */
export interface Sent {
  /** All but PUBLISH and PUBREL. */
  readonly answers: string
  /** Each PUBREL, as far as it follows from the packet ids of what was delivered. */
  readonly releases: string
  readonly deliveries: ReadonlyArray<Delivery>
  /** Those that want an acknowledgement, with their packet ids and in order. */
  readonly withIds: ReadonlyArray<string>
  /** Packet ids of these and of PUBREL: so much of the client's window has been used, some of it by an earlier connection. */
  readonly idsUsed: number
}

/** What a client was sent that speaks this version. Throws as `packetsOf`. */
export const sentOf = (bytes: Buffer, version: number): Sent => {
  const byName = new Map<string, Array<string>>()
  for (const [name, hex] of packetsOf(bytes)) {
    const known = byName.get(name)
    if (known === undefined) byName.set(name, [hex])
    else known.push(hex)
  }
  const published = byName.get("PUBLISH") ?? []
  const releases = byName.get("PUBREL") ?? []
  byName.delete("PUBLISH")
  byName.delete("PUBREL")
  const lines: Array<string> = []
  // A PUBCOMP may overtake another one: what needs no commit is answered at once.
  for (const [name, all] of byName) lines.push(`${name} ${(name === "PUBCOMP" ? all.sort() : all).join(" ")}`)
  const deliveries = new Deliveries(version)
  const withIds = published.filter(wantsAck)
  return {
    answers: lines.sort().join("\n"),
    releases: releases.sort().join(" "),
    deliveries: published.map((hex) => deliveries.of(hex)),
    withIds,
    idsUsed: new Set([...withIds, ...releases].map(packetIdOf)).size
  }
}
