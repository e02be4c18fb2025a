import type { Random } from "../../simulation/Random.ts"
import { Draft } from "./Draft.ts"

export type Version = 3 | 4 | 5

export const filtersOfStream = ["p/#"] as const
export const streamName = "x"

const utf8 = (text: string): Buffer => Buffer.from(text)

const clientIds = Array.from({ length: 10 }, (_, i) => utf8(`c${i}`))
const oddClientIds = ["", "x".repeat(24), "x".repeat(300), "a/+b", "\u{1f600}"].map(utf8)
const topics = ["p/1", "p/1", "p/2", "s/a", "s/b", "nobody", "p/\u00e4", "/", "$SYS/broker/uptime"].map(utf8)
const oddTopics = ["p/+", "#", "", "$stream/x", "$share/g/p/1", "a\0b", "x".repeat(1030), "/".repeat(40)].map(utf8)
const filters = ["p/1", "p/#", "s/+", "s/a", "#", "+/1", "$share/g/p/#", "$share/h/s/a", "$own/+"].map(utf8)
const streamFilters = [
  "$stream/x",
  "$stream/x/p/1",
  "$stream/x?from=earliest/#",
  "$stream/nobody",
  "$share/g/$stream/x"
].map(utf8)
const oddFilters = ["a#", "#/a", "", "$share/g", "$share//a", "$share/+/a", "$share/g/$stream", "$stream/"].map(utf8)
const texts = ["", "a", "receipts", "1", "stream-offset", "earliest", "last:2", "text/plain", "\u00fc"].map(utf8)
const badText = Buffer.from([0x61, 0xed, 0xa0, 0x80])
const payloads = [0, 1, 5, 60].map((length) => Buffer.alloc(length, 0x78))
const receipts = [utf8("receipts"), utf8("1")] as const
const uint16s = [0, 1, 2, 5, 32, 255, 256, 65_535] as const
const uint32s = [0, 1, 60, 3600, 0x7fff_ffff, 0xffff_ffff] as const

const text = (random: Random): Uint8Array => (random.chance(0.03) ? badText : random.pick(texts))
const clientId = (random: Random): Uint8Array => random.pick(random.chance(0.05) ? oddClientIds : clientIds)
const topic = (random: Random): Uint8Array => random.pick(random.chance(0.05) ? oddTopics : topics)
const packetId = (random: Random): number => (random.chance(0.03) ? random.pick(uint16s) : random.between(1, 6))

const filter = (random: Random): Uint8Array => {
  const roll = random.next()
  return random.pick(roll < 0.05 ? oddFilters : roll < 0.15 ? streamFilters : filters)
}

// --- Properties of MQTT 5 ---

type Property = (to: Draft, random: Random) => unknown

const flag =
  (id: number): Property =>
  (to, random) =>
    to.byte(id).byte(random.chance(0.1) ? 2 : random.between(0, 1))
const two =
  (id: number): Property =>
  (to, random) =>
    to.byte(id).uint16(random.pick(uint16s))
const four =
  (id: number): Property =>
  (to, random) =>
    to.byte(id).uint32(random.pick(uint32s))
const word =
  (id: number): Property =>
  (to, random) =>
    to.byte(id).sized(text(random))
const userProperty: Property = (to, random) => to.byte(0x26).sized(text(random)).sized(text(random))
const subscriptionId: Property = (to, random) => to.byte(0x0b).variable(random.pick([0, 1, 127, 128, 268_435_455]))

/** Every property that there is, for packets in which most have no place. */
const anyProperty: ReadonlyArray<Property> = [
  ...[0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a].map(flag),
  ...[0x13, 0x21, 0x22, 0x23].map(two),
  ...[0x02, 0x11, 0x18, 0x27].map(four),
  ...[0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f].map(word),
  subscriptionId,
  userProperty,
  (to) => to.byte(0x7f)
]

const startOfStream: Property = (to, random) =>
  to
    .byte(0x26)
    .sized(utf8("stream-offset"))
    .sized(random.pick(["earliest", "latest", "last:3", "x"].map(utf8)))

const ofMessages: ReadonlyArray<Property> = [flag(0x01), four(0x02), word(0x03), word(0x08), word(0x09), userProperty]

const properties = {
  connect: [
    four(0x11),
    four(0x11),
    two(0x21),
    four(0x27),
    two(0x22),
    flag(0x19),
    flag(0x17),
    (to) => to.byte(0x26).sized(receipts[0]).sized(receipts[1]),
    userProperty
  ],
  will: [four(0x18), ...ofMessages],
  publish: [(to, random) => to.byte(0x23).uint16(random.between(1, 3)), ...ofMessages],
  ack: [word(0x1f), userProperty],
  subscribe: [subscriptionId, startOfStream, userProperty],
  unsubscribe: [userProperty],
  disconnect: [four(0x11), word(0x1f), userProperty]
} satisfies Record<string, ReadonlyArray<Property>>

const section = (random: Random, version: Version, own: ReadonlyArray<Property>): Draft | undefined => {
  if (version !== 5) return undefined
  const part = new Draft(0)
  if (random.chance(0.5)) return part
  for (let count = random.between(1, 3); count > 0; count--) {
    random.pick(random.chance(0.03) ? anyProperty : own)(part, random)
  }
  return part
}

const withSection = (to: Draft, random: Random, version: Version, own: ReadonlyArray<Property>): Draft => {
  const part = section(random, version, own)
  return part === undefined ? to : to.section(part)
}

// --- Packets ---

export const connect = (random: Random, version: Version): Draft => {
  const packet = new Draft(0x10)
  packet.sized(utf8(version === 3 ? "MQIsdp" : "MQTT")).byte(version)
  const hasWill = random.chance(0.25)
  const hasName = random.chance(0.15)
  const hasPassword = hasName && random.chance(0.5)
  const will = hasWill ? 0x04 | (random.between(0, 2) << 3) | (random.chance(0.2) ? 0x20 : 0) : 0
  packet.byte((random.chance(0.5) ? 2 : 0) | will | (hasName ? 0x80 : 0) | (hasPassword ? 0x40 : 0))
  packet.uint16(random.pick([0, 0, 10, 65_535]))
  withSection(packet, random, version, properties.connect)
  packet.sized(clientId(random))
  if (hasWill) withSection(packet, random, version, properties.will).sized(topic(random)).sized(random.pick(payloads))
  if (hasName) packet.sized(text(random))
  if (hasPassword) packet.sized(text(random))
  return packet
}

const publish = (random: Random, version: Version): Draft => {
  const qos = random.between(0, 2)
  const isAgain = qos > 0 && random.chance(0.1)
  const packet = new Draft(0x30 | (isAgain ? 8 : 0) | (qos << 1) | (random.chance(0.15) ? 1 : 0))
  packet.sized(topic(random))
  if (qos > 0) packet.uint16(packetId(random))
  return withSection(packet, random, version, properties.publish).bytes(random.pick(payloads))
}

const subscribe = (random: Random, version: Version): Draft => {
  const packet = withSection(new Draft(0x82).uint16(packetId(random)), random, version, properties.subscribe)
  for (let count = random.between(1, 3); count > 0; count--) {
    const rest = version === 5 && random.chance(0.3) ? random.between(0, 11) << 2 : 0
    packet.sized(filter(random)).byte(random.between(0, 2) | rest)
  }
  return packet
}

const unsubscribe = (random: Random, version: Version): Draft => {
  const packet = withSection(new Draft(0xa2).uint16(packetId(random)), random, version, properties.unsubscribe)
  for (let count = random.between(1, 2); count > 0; count--) packet.sized(filter(random))
  return packet
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
const ack =
  (first: number) =>
  (random: Random, version: Version): Draft => {
    const packet = new Draft(first).uint16(packetId(random))
    if (version !== 5 || random.chance(0.7)) return packet
    packet.byte(random.pick([0, 0, 0x10, 0x80, 0x92, 0x97]))
    return random.chance(0.5) ? packet : withSection(packet, random, version, properties.ack)
  }

const disconnect = (random: Random, version: Version): Draft => {
  const packet = new Draft(0xe0)
  if (version !== 5 || random.chance(0.4)) return packet
  packet.byte(random.pick([0, 4, 4, 0x80, 0x8e]))
  return random.chance(0.5) ? packet : withSection(packet, random, version, properties.disconnect)
}

const auth = (random: Random, version: Version): Draft => {
  const packet = new Draft(0xf0).byte(random.pick([0, 0x18, 0x19]))
  return withSection(packet, random, version, [word(0x15), word(0x16)])
}

/** Types that only servers send, and type 0. */
const foreign = (random: Random): Draft =>
  new Draft(random.pick([0x00, 0x20, 0x90, 0xb0, 0xd0])).bytes(random.bytes(random.between(0, 4)))

/** How often each comes, of all. */
const weighted: ReadonlyArray<readonly [weight: number, make: (random: Random, version: Version) => Draft]> = [
  [40, publish],
  [16, subscribe],
  [6, unsubscribe],
  [11, ack(0x62)],
  [6, ack(0x40)],
  [5, ack(0x50)],
  [4, ack(0x70)],
  [6, () => new Draft(0xc0)],
  [3, disconnect],
  [1, auth],
  [1, connect],
  [1, foreign]
]
const deck = weighted.flatMap(([weight, make]) => Array.from({ length: weight }, () => make))

/** Any packet that a client may send behind CONNECT, and now and then one that it may not. */
export const packet = (random: Random, version: Version): Draft => random.pick(deck)(random, version)
