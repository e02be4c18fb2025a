import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { defaultLimits } from "@logbrook/core/Limits"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { generate } from "mqtt-packet"
import { sleep, written } from "../Attack.ts"
import { session, wire } from "../attacks/mqttFloods.ts"
import { fetchAll, bombOf } from "../attacks/kafkaFloods.ts"
import { longConnect, produceOf } from "../attacks/connections.ts"
import { KafkaPipe } from "../../crash/KafkaPipe.ts"
import type { Step } from "./Filled.ts"

const {
  mqttPacketBytesMax,
  topicAliasesMax,
  topicBytesMax,
  kafkaPipelinedRequestsMax,
  kafkaInFlightBytesMax,
  kafkaRequestBytesMax,
  httpConnectionsMax,
  httpEventTailsMax,
  preAuthConnectionsMax,
  connectionsMax
} = defaultLimits

const mib = 1024 * 1024
/** For what the server does with what it was sent. */
const restMs = 1500
const lanes = 20
/** For what comes behind them. */
const placesLeft = 400

/** Clients that never say who they are, each with half a CONNECT. */
const unknown: Step = async (field, horde) => {
  const sockets = await horde.connectMany(field.ports.mqtt, preAuthConnectionsMax)
  const half = longConnect(0).subarray(0, 50_000)
  for (const socket of sockets) void written(socket, half)
  await sleep(restMs, field.signal)
}

/** Sessions without anything until no connection is taken; some of them with as many long topic aliases as they get. */
const connections: Step = async (field, horde) => {
  const held: Array<Socket> = []
  const lane = async (name: number): Promise<void> => {
    for (let n = 0, refused = 0; refused < 3 && held.length < connectionsMax && !field.signal.aborted; n++) {
      const socket = await session(field, horde, { clientId: `connected-${name}-${n}` })
      if (socket === undefined) {
        refused++
        field.count("connections refused")
        await sleep(50, field.signal)
      } else {
        held.push(socket)
        field.count("sessions")
        if (n < 5) giveAliases(socket, `${name}/${n}`)
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, name) => lane(name)))
  for (const socket of held.splice(-placesLeft)) horde.end(socket)
  await sleep(restMs, field.signal)
}

const giveAliases = (socket: Socket, name: string): void => {
  for (let topicAlias = 1; topicAlias <= topicAliasesMax; topicAlias++) {
    const topic = `aliases/${name}/${topicAlias}/`.padEnd(topicBytesMax, "t")
    const properties = { topicAlias }
    socket.write(wire({ cmd: "publish", topic, payload: "x", qos: 0, retain: false, dup: false, properties }))
  }
}

/** Packets of which the last byte is missing. */
const parts: Step = async (field, horde) => {
  const whole = generate(
    {
      cmd: "publish",
      topic: "parts",
      payload: Buffer.alloc(mqttPacketBytesMax - 20, 1),
      qos: 0,
      retain: false,
      dup: false
    },
    { protocolVersion: 5 }
  )
  for (let n = 0; n < 12 && !field.signal.aborted; n++) {
    const socket = await session(field, horde, { clientId: `parts-${n}` })
    if (socket === undefined) return
    field.count("packets in part")
    await written(socket, whole.subarray(0, -1))
  }
  await sleep(restMs, field.signal)
}

/** Clients that subscribe and read nothing, of QoS 0 and 1, while each is sent messages of its own. */
const unread: Step = async (field, horde) => {
  const publisher = await session(field, horde, { clientId: "unread-publisher" })
  if (publisher === undefined) return
  for (let n = 0; n < 60 && !field.signal.aborted; n++) {
    const socket = await session(field, horde, { clientId: `unread-${n}` })
    socket?.write(
      wire({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: `unread/${n}`, qos: n % 2 === 0 ? 0 : 1 }] })
    )
    await sleep(20, field.signal)
    socket?.pause()
    for (let message = 0; message < 40; message++) {
      const packet = {
        cmd: "publish",
        topic: `unread/${n}`,
        payload: randomBytes(100_000),
        retain: false,
        dup: false
      } as const
      await written(publisher, wire({ ...packet, qos: 1, messageId: message + 1 }))
      field.count("messages that nobody reads")
    }
  }
}

/** Requests of the largest size of which the last part is missing, until no more is read of any, and answers that nobody reads. */
const kafka: Step = async (field, horde) => {
  const begun = produceOf(kafkaRequestBytesMax - mib)
  const count = 2 * Math.ceil(kafkaInFlightBytesMax / kafkaRequestBytesMax)
  for (const socket of await horde.connectMany(field.ports.kafka, count)) {
    field.count("requests in part")
    void written(socket, begun.subarray(0, -1000))
  }
  const asks = Buffer.concat(Array.from({ length: kafkaPipelinedRequestsMax }, fetchAll))
  for (const socket of await horde.connectMany(field.ports.kafka, 50)) void written(socket, asks)
  const bomb = bombOf("zstd", 15 * mib, 100_000)
  for (const socket of await horde.connectMany(field.ports.kafka, 4)) void written(socket, bomb)
  await sleep(2 * restMs, field.signal)
}

/** Ever new fetch sessions, of partitions that are not there under names as long as Kafka's may be, until there is no room for one. */
const fetches: Step = async (field) => {
  const pipe = await KafkaPipe.connect(field.ports.kafka)
  const asked = { currentLeaderEpoch: -1, fetchOffset: 0, partitionMaxBytes: 1000 }
  const partitions = Array.from({ length: 50 }, (_, partition) => ({ partition, ...asked }))
  const refusals: Array<number> = []
  for (let n = 0; refusals.length < 5 && !field.signal.aborted; n++) {
    const topics = Array.from({ length: 10 }, (_, i) => ({ topic: `${n}-${i}-`.padEnd(249, "t"), partitions }))
    const request = { maxWaitMs: 0, minBytes: 0, maxBytes: 1000, sessionId: 0, sessionEpoch: 0, topics }
    await pipe.send(Fetch, 11, request, ({ sessionId }) => {
      field.count(sessionId === 0 ? "fetch sessions refused" : "fetch sessions")
      if (sessionId === 0) refusals.push(n)
    })
    await pipe.answered()
  }
  await pipe.end()
}

/** Views of the journal that nobody reads, and requests that are not completed. */
const http: Step = async (field, horde) => {
  const tail = Buffer.from("GET /api/v1/journal/tail?from=1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
  for (const socket of await horde.connectMany(field.ports.http, httpEventTailsMax)) void written(socket, tail)
  const post = Buffer.from(
    `POST /api/v1/streams HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${mib}\r\n\r\n${"x".repeat(60_000)}`
  )
  for (const socket of await horde.connectMany(field.ports.http, Math.min(200, httpConnectionsMax)))
    void written(socket, post)
  await sleep(restMs, field.signal)
}

/** What is held by connections that stay, besides the first, which leaves places for these, and what ends with the server. */
export const heldSteps = { fetches, unread, parts, kafka, http, unknown }

export const connectionSteps = { connections }
