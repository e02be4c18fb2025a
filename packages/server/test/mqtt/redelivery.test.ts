import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Kit, type RawConnect, connected, publishPacket, startKit, subscribePacket } from "./kit.ts"

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const sessionExpiry = [17, 0, 0, 14, 16]
const messageExpiry = (seconds: number) => [2, 0, 0, 0, seconds]
const pingreq = [0xc0, 0]
const pingresp = Buffer.from([0xd0, 0])

/** Of a PUBLISH to a topic of one character. */
const packetIdOf = (packet: Buffer): number => packet.readUInt16BE(5)

const durable = (properties: ReadonlyArray<number> = []): RawConnect => ({
  clientId: "sub",
  flags: 0,
  properties: [...sessionExpiry, ...properties]
})

/** The session is there, and subscribes to everything. */
const subscribed = async (qos: number) => {
  const subscriber = await connected(kit.port, durable())
  subscriber.send(subscribePacket(1, [["#", qos]]))
  await subscriber.packet()
  return subscriber
}

describe("a session that comes back", () => {
  it.each([1, 2] as const)("gets again what has expired on its way, QoS %i, with no time left", async (qos) => {
    const subscriber = await subscribed(qos)
    const publisher = await connected(kit.port, { clientId: "pub" })
    publisher.send(publishPacket("a", "x", { qos, properties: messageExpiry(1) }))
    const first = await subscriber.packet()
    expect([...first.subarray(7)]).toEqual([5, ...messageExpiry(1), 0x78])
    subscriber.socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 2100))
    const back = await connected(kit.port, durable())
    back.send(pingreq)
    expect(back.accepted[2]).toBe(1)
    const again = await back.packet()
    expect(again[0]).toBe(0x38 | (qos << 1))
    expect([...again.subarray(7)]).toEqual([5, ...messageExpiry(0), 0x78])
    expect(await back.packet()).toEqual(pingresp)
    back.socket.destroy()
    publisher.socket.destroy()
  })

  it("gets no new message under a packet id that is in use", async () => {
    const subscriber = await subscribed(1)
    const publisher = await connected(kit.port, { clientId: "pub" })
    publisher.send(publishPacket("a", "x", { qos: 1 }))
    const inUse = packetIdOf(await subscriber.packet())
    await kit.seq()
    subscriber.socket.destroy()
    const back = await connected(kit.port, durable())
    expect(packetIdOf(await back.packet())).toBe(inUse)
    publisher.send(publishPacket("a", "y", { qos: 1, packetId: 2 }))
    const next = await back.packet()
    expect([next.at(-1), packetIdOf(next)]).toEqual([0x79, inUse + 1])
    back.socket.destroy()
    publisher.socket.destroy()
  })

  it("gets nothing that is larger than what it takes now, ever", async () => {
    const subscriber = await subscribed(1)
    const publisher = await connected(kit.port, { clientId: "pub" })
    publisher.send(publishPacket("a", "x".repeat(100), { qos: 1 }), publishPacket("a", "y", { qos: 1, packetId: 2 }))
    await subscriber.packet()
    await subscriber.packet()
    subscriber.socket.destroy()
    const back = await connected(kit.port, durable([39, 0, 0, 0, 50]))
    expect([...(await back.packet())].at(-1)).toBe(0x79)
    back.send(pingreq)
    expect(await back.packet()).toEqual(pingresp)
    await kit.seq()
    back.socket.destroy()
    const later = await connected(kit.port, durable())
    expect([...(await later.packet())].at(-1)).toBe(0x79)
    expect(kit.broker.metrics.render()).toContain(`dropped_total{reason="packet_too_large"} 1`)
    later.socket.destroy()
    publisher.socket.destroy()
  })

  it("gets PUBREL for a message of QoS 2 that cannot come again, whose packet id is no other's before PUBCOMP", async () => {
    const subscriber = await subscribed(2)
    const publisher = await connected(kit.port, { clientId: "pub" })
    publisher.send(publishPacket("a", "x".repeat(100), { qos: 2 }))
    const inUse = packetIdOf(await subscriber.packet())
    subscriber.socket.destroy()
    const small = [39, 0, 0, 0, 50]
    const back = await connected(kit.port, durable(small))
    expect([...(await back.packet())]).toEqual([0x62, 2, 0, inUse])
    publisher.send(publishPacket("a", "y", { qos: 2, packetId: 2 }))
    expect(packetIdOf(await back.packet())).not.toBe(inUse)
    back.send([0x70, 2, 0, inUse])
    await kit.seq()
    back.socket.destroy()
    const later = await connected(kit.port, durable(small))
    expect((await later.packet()).at(-1)).toBe(0x79)
    later.send(pingreq)
    expect(await later.packet()).toEqual(pingresp)
    later.socket.destroy()
    publisher.socket.destroy()
  })

  it("gets every PUBREL at once, whatever its Receive Maximum", async () => {
    const subscriber = await subscribed(2)
    const publisher = await connected(kit.port, { clientId: "pub" })
    for (const packetId of [1, 2, 3]) publisher.send(publishPacket("a", "x", { qos: 2, packetId }))
    const ids = []
    for (let i = 0; i < 3; i++) ids.push((await subscriber.packet())[6]!)
    for (const id of ids.slice(1)) {
      subscriber.send([0x50, 2, 0, id])
      expect([...(await subscriber.packet())]).toEqual([0x62, 2, 0, id])
    }
    subscriber.socket.destroy()
    const back = await connected(kit.port, durable([33, 0, 1]))
    for (const id of ids.slice(1)) expect([...(await back.packet())]).toEqual([0x62, 2, 0, id])
    for (const id of ids.slice(1)) back.send([0x70, 2, 0, id])
    const again = await back.packet()
    expect([again[0], again[6]]).toEqual([0x3c, ids[0]])
    back.socket.destroy()
    publisher.socket.destroy()
  })
})
