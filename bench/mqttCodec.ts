// ns per packet of the MQTT codec beside mqtt-packet, in interleaved slices of one process.
// It does not prove what a socket costs, nor what polymorphic call sites of a whole server do to these figures.
// Run: node --conditions=source bench/mqttCodec.ts
import { TopicCache } from "@logbrook/protocols/mqtt/TopicNames"
import { decodePacket } from "@logbrook/protocols/mqtt/decode"
import { decodeConnect } from "@logbrook/protocols/mqtt/decodeConnect"
import { decodePublish } from "@logbrook/protocols/mqtt/decodePublish"
import { encodeConnack, encodeSuback } from "@logbrook/protocols/mqtt/encode"
import { copyWithPacketId, publishTemplate, writePuback } from "@logbrook/protocols/mqtt/encodePublish"
import { defaultCodecLimits } from "@logbrook/protocols/mqtt/Packet"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import { createRequire } from "node:module"

const mqttPacket: typeof import("mqtt-packet") = createRequire(import.meta.url)("mqtt-packet")

const rounds = 15
const packetsPerChunk = 400

const publishes = (version: 4 | 5, count: number): Array<Buffer> =>
  Array.from({ length: count }, (_, index) =>
    mqttPacket.generate(
      {
        cmd: "publish",
        topic: `plant/line7/machine${10 + (index % 64)}/temperature`,
        payload: Buffer.alloc(100, 0x61),
        qos: 1,
        retain: false,
        dup: false,
        messageId: 1 + index,
        ...(version === 5 && { properties: { contentType: "text/plain", userProperties: { unit: "C" } } })
      },
      { protocolVersion: version }
    )
  )

const packets4 = publishes(4, packetsPerChunk)
const packets5 = publishes(5, packetsPerChunk)
const chunk4 = Buffer.concat(packets4)
const pubacks = Buffer.concat(
  packets4.map((_, index) => mqttPacket.generate({ cmd: "puback", messageId: index + 1 }, { protocolVersion: 4 }))
)
const connects = {
  4: mqttPacket.generate({ cmd: "connect", clientId: "machine-0042", protocolVersion: 4, keepalive: 60 }),
  5: mqttPacket.generate({
    cmd: "connect",
    clientId: "machine-0042",
    protocolVersion: 5,
    keepalive: 60,
    username: "plant",
    password: Buffer.from("secret"),
    properties: { sessionExpiryInterval: 3_600, receiveMaximum: 100, userProperties: { receipts: "1" } },
    will: { topic: "plant/line7/machine12/state", payload: Buffer.from("gone"), qos: 1, retain: true }
  })
}
const subscribe = (version: 4 | 5): Buffer =>
  mqttPacket.generate(
    { cmd: "subscribe", messageId: 7, subscriptions: [{ topic: "plant/line7/+/temperature", qos: 1 }] },
    { protocolVersion: version }
  )
const subscribes = { 4: subscribe(4), 5: subscribe(5) }
const connack = {
  sessionExpiryIntervalSeconds: 3_600,
  receiveMaximum: 1_024,
  maximumPacketSizeBytes: 4_194_304,
  topicAliasMaximum: 32
}
/** `packetsPerChunk` times, as all other cases. */
const times = (run: () => number): void => {
  for (let index = 0; index < packetsPerChunk; index++) sink += run()
}
const target = Buffer.alloc(4 * packetsPerChunk)
const cached = { limits: defaultCodecLimits, topics: new TopicCache() }
const delivery = {
  topic: "plant/line7/machine12/temperature",
  payload: Buffer.alloc(100),
  qos: 1,
  retain: false
} as const
const template = publishTemplate(4, delivery)
const splitter = new Splitter(1_048_576)
const parsers = { 4: mqttPacket.parser({ protocolVersion: 4 }), 5: mqttPacket.parser({ protocolVersion: 5 }) }
let sink = 0
const count = (packet: Uint8Array): void => {
  sink += packet.length
}
parsers[4].on("packet", (packet) => (sink += packet.messageId ?? 0))
parsers[5].on("packet", (packet) => (sink += packet.messageId ?? 0))

/** Each handles `packetsPerChunk` packets. */
const cases: ReadonlyArray<readonly [name: string, run: () => void]> = [
  ["splitter, PUBLISH 100 B", () => splitter.push(chunk4, count)],
  ["splitter, PUBACK", () => splitter.push(pubacks, count)],
  ["decodePublish 4", () => packets4.forEach((packet) => (sink += decodePublish(packet, 4).packetId))],
  ["decodePublish 4, TopicCache", () => packets4.forEach((p) => (sink += decodePublish(p, 4, cached).packetId))],
  ["decodePublish 5, 2 properties", () => packets5.forEach((p) => (sink += decodePublish(p, 5, cached).packetId))],
  [
    "splitter + decodePublish 4, TopicCache",
    () => splitter.push(chunk4, (packet) => (sink += decodePublish(packet, 4, cached).packetId))
  ],
  ["mqtt-packet parse PUBLISH 4", () => parsers[4].parse(chunk4)],
  ["mqtt-packet parse PUBLISH 5", () => packets5.forEach((packet) => parsers[5].parse(packet))],
  ["mqtt-packet parse PUBACK", () => parsers[4].parse(pubacks)],
  [
    "writePuback",
    () => {
      for (let id = 0, at = 0; id < packetsPerChunk; id++) at = writePuback(target, at, id)
    }
  ],
  [
    "mqtt-packet generate PUBACK",
    () => packets4.forEach((_, id) => (sink += mqttPacket.generate({ cmd: "puback", messageId: id + 1 }).length))
  ],
  ["publishTemplate", () => packets4.forEach(() => (sink += publishTemplate(4, delivery).length))],
  ["copyWithPacketId", () => packets4.forEach((_, id) => (sink += copyWithPacketId(template, id + 1).length))],
  ["decodeConnect 4", () => times(() => decodeConnect(connects[4]).keepAliveSeconds)],
  ["decodeConnect 5, will, 3 properties", () => times(() => decodeConnect(connects[5]).keepAliveSeconds)],
  ["decodePacket SUBSCRIBE 4", () => times(() => decodePacket(subscribes[4], 4)._tag.length)],
  ["decodePacket SUBSCRIBE 5", () => times(() => decodePacket(subscribes[5], 5)._tag.length)],
  ["encodeConnack 4", () => times(() => encodeConnack(4, false, 0).length)],
  ["encodeConnack 5, 4 properties", () => times(() => encodeConnack(5, false, 0, connack).length)],
  ["encodeSuback 5", () => times(() => encodeSuback(5, 7, [1]).length)],
  [
    "mqtt-packet generate PUBLISH",
    () =>
      packets4.forEach(
        (_, id) =>
          (sink += mqttPacket.generate({ cmd: "publish", dup: false, messageId: id + 1, ...delivery } as never).length)
      )
  ]
]

const medians = cases.map((): Array<number> => [])
for (let round = 0; round < rounds; round++) {
  cases.forEach(([, run], index) => {
    const repeats = 60
    const start = process.hrtime.bigint()
    for (let repeat = 0; repeat < repeats; repeat++) run()
    const ns = Number(process.hrtime.bigint() - start) / (repeats * packetsPerChunk)
    if (round >= 4) medians[index]?.push(ns)
  })
}
cases.forEach(([name], index) => {
  const sorted = medians[index]?.toSorted((a, b) => a - b) ?? []
  console.log(`${name.padEnd(42)} ${(sorted[sorted.length >> 1] ?? 0).toFixed(0).padStart(7)} ns`)
})
if (sink === 0) throw new Error("nothing was measured")
