import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { defaultLimits } from "@logbrook/core/Limits"
import { generate, type IConnectPacket, parser, type Packet, type UserProperties } from "mqtt-packet"
import { type Attack, type Battlefield, type Horde, sleep, withHorde } from "../Attack.ts"

export const wire = (packet: Packet): Buffer => generate(packet, { protocolVersion: 5 })
const pingreq = Buffer.from([0xc0, 0])

export interface SessionOptions {
  readonly clientId: string
  readonly expirySeconds?: number
  readonly will?: IConnectPacket["will"]
  readonly onPacket?: (packet: Packet, socket: Socket) => void
}

/** Resolves with the socket behind its CONNACK; undefined: refused. */
export const session = async (
  field: Battlefield,
  horde: Horde,
  options: SessionOptions
): Promise<Socket | undefined> => {
  const { clientId, expirySeconds = 0, will, onPacket } = options
  const parsing = parser({ protocolVersion: 5 })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = await horde.connect(field.ports.mqtt, (chunk) => parsing.parse(chunk))
  if (socket === undefined) return undefined
  parsing.on("packet", (packet: Packet) => {
    if (packet.cmd === "connack") resolve(packet.reasonCode === 0)
    else onPacket?.(packet, socket)
  })
  socket.on("close", () => resolve(false))
  socket.write(
    wire({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 5,
      clean: true,
      // It stays although it says nothing.
      keepalive: 0,
      clientId,
      ...(will !== undefined && { will }),
      properties: { sessionExpiryInterval: expirySeconds }
    })
  )
  if (await promise) return socket
  field.count("refused")
  return undefined
}

/** A function, since a socket changes while a loop over it waits. */
const isUp = (socket: Socket | undefined): socket is Socket => socket?.destroyed === false

const lanesOf = (field: Battlefield, count: number, work: (lane: number) => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: Math.ceil(count * field.scale) }, (_, lane) => work(lane)))

/** Two hundred sessions with a hundred and fifty wildcard subscriptions each, in packets of fifty that come together. */
export const subscriptionFlood: Attack = (field) =>
  withHorde(field, async (horde) => {
    await lanesOf(field, 200, async (lane) => {
      const socket = await session(field, horde, {
        clientId: `subscriber-${lane}`,
        onPacket: (packet) => {
          if (packet.cmd !== "suback") return
          for (const code of packet.granted) field.count(Number(code) >= 0x80 ? "refused" : "subscriptions")
        }
      })
      for (let packet = 0; packet < 3; packet++) {
        const subscriptions = Array.from({ length: 50 }, (_, n) => ({
          topic: `+/${lane}/${packet * 50 + n}/#`,
          qos: 1 as const
        }))
        socket?.write(wire({ cmd: "subscribe", messageId: packet + 1, subscriptions }))
      }
    })
  })

/** Durable sessions, each with a subscription, until the server takes no more, and then some. */
export const sessionFlood: Attack = (field) =>
  withHorde(field, async (horde) => {
    const perLane = 200
    await lanesOf(field, 32, async (lane) => {
      for (let n = 0; n < perLane && !field.signal.aborted; n++) {
        const { promise, resolve } = Promise.withResolvers<void>()
        const clientId = `durable-${lane}-${n}`
        const socket = await session(field, horde, { clientId, expirySeconds: 60, onPacket: () => resolve() })
        if (socket === undefined) {
          await sleep(20, field.signal)
          continue
        }
        field.count("sessions")
        socket.write(wire({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: `own/${clientId}/#`, qos: 1 }] }))
        await Promise.race([promise, sleep(2000, field.signal)])
        horde.end(socket)
      }
    })
  })

const userProperties: UserProperties = Object.fromEntries(
  Array.from({ length: 64 }, (_, n) => [`name-${n}`, "v".repeat(100)])
)

/** Long topics under all aliases, sixty-four user properties of 7 KB each time; then more than is allowed of both. */
export const aliasesAndProperties: Attack = (field) =>
  withHorde(field, async (horde) => {
    await lanesOf(field, 50, async (lane) => {
      for (let round = 0; !field.signal.aborted; round++) {
        const socket = await session(field, horde, { clientId: `alias-${lane}` })
        for (let alias = 1; alias <= 32 && isUp(socket); alias++) {
          const topic = `flood/${lane}/${alias}/${"t".repeat(980)}`
          const properties = { topicAlias: alias, userProperties }
          socket.write(wire({ cmd: "publish", topic, payload: "x", qos: 0, retain: false, dup: false, properties }))
          field.count("messages")
          await sleep(50, field.signal)
        }
        const over = round % 2 === 0 ? { topicAlias: 33 } : { userProperties: { ...userProperties, more: "1" } }
        socket?.write(
          wire({ cmd: "publish", topic: "flood/x", payload: "x", qos: 0, retain: false, dup: false, properties: over })
        )
        await sleep(100, field.signal)
        horde.end(socket)
      }
    })
  })

/** QoS 2 messages without a single PUBREL, up to the limit and one more, then as another client. */
export const qos2WithoutPubrel: Attack = (field) =>
  withHorde(field, async (horde) => {
    await lanesOf(field, 50, async (lane) => {
      for (let round = 0; !field.signal.aborted; round++) {
        const clientId = `qos2-${lane}-${round % 20}`
        const onPacket = (packet: Packet): void => {
          if (packet.cmd === "pubrec") field.count("messages")
          if (packet.cmd === "disconnect") field.count("refused")
        }
        const socket = await session(field, horde, { clientId, expirySeconds: 30, onPacket })
        for (let messageId = 1; messageId <= defaultLimits.receiveMaximum + 1 && isUp(socket); messageId++) {
          const payload = randomBytes(200)
          const topic = `flood/${lane}`
          socket.write(wire({ cmd: "publish", topic, payload, qos: 2, retain: false, dup: false, messageId }))
          await sleep(10, field.signal)
        }
        await sleep(100, field.signal)
        horde.end(socket)
      }
    })
  })

/** Retained messages of 10 KB under new topics, until there is no room, and on. */
export const retainedFlood: Attack = (field) =>
  withHorde(field, async (horde) => {
    await lanesOf(field, 10, async (lane) => {
      let answered: (() => void) | undefined
      const onPacket = (packet: Packet): void => {
        if (packet.cmd !== "puback") return
        field.count((packet.reasonCode ?? 0) >= 0x80 ? "refused" : "messages")
        answered?.()
      }
      const socket = await session(field, horde, { clientId: `retainer-${lane}`, onPacket })
      for (let n = 0; isUp(socket) && !field.signal.aborted; n++) {
        const { promise, resolve } = Promise.withResolvers<void>()
        answered = resolve
        const payload = randomBytes(10_000)
        const messageId = 1 + (n % 60_000)
        const topic = `retained/${lane}/${n}`
        socket.write(wire({ cmd: "publish", topic, payload, qos: 1, retain: true, dup: false, messageId }))
        await Promise.race([promise, sleep(5000, field.signal)])
        await sleep(10, field.signal)
      }
    })
  })

/** PINGREQ after PINGREQ, whose answers nobody reads. */
export const unreadPings: Attack = (field) =>
  withHorde(field, async (horde) => {
    const pings = Buffer.concat(Array.from({ length: 2000 }, () => pingreq))
    await lanesOf(field, 50, async (lane) => {
      const socket = await session(field, horde, { clientId: `pinger-${lane}` })
      socket?.pause()
      while (isUp(socket) && !field.signal.aborted) {
        if (!socket.writableNeedDrain) socket.write(pings)
        await sleep(100, field.signal)
      }
    })
  })
