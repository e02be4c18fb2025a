/**
 * A durable client of MQTT 5 that reads a stream, as a process that can be killed at any time: what it has of its session, and each record
 * that it was given, is in a file before it answers. Arguments: the port, its client id, the QoS, the stream, the file, and what it does wrong.
 */
import * as fs from "node:fs"
import * as net from "node:net"
import { generate, parser, type IPublishPacket, type Packet } from "mqtt-packet"
import { readLog, type Wrong } from "./readLog.ts"

const reconnectMs = 20
const receiveMaximum = 20
/** How long it takes with each record, so that some are always under way when it is killed. */
const answersAfterMs = 50
const expirySeconds = 3600
/** A reader that does wrong does it to one record of so many. */
const wrongEvery = 100

const [port, clientId, qosText, stream, file, wrong] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  Wrong
]
const qos = Number(qosText) as 1 | 2

const before = readLog(fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "")
/** Packet ids of QoS 2 that wait for PUBREL: the client's half of its session. */
const unreleased = new Set(wrong === "forgets" ? [] : before.unreleased)
const log = fs.openSync(file, "a")
let records = 0
let socket: net.Socket | undefined

/** With the system when this returns, so that the end of the process loses none of it. */
const write = (line: string): void => void fs.writeSync(log, `${line}\n`)

const send = (packet: Packet): void => void socket?.write(generate(packet, { protocolVersion: 5 }))

const delivered = ({ messageId = 0, qos: sentQos, properties }: IPublishPacket): void => {
  const { partition, offset } = properties!.userProperties as Record<string, string>
  const isKnown = sentQos === 2 && unreleased.has(messageId)
  const isLost = wrong === "loses" && ++records % wrongEvery === 0
  if (!isKnown && !isLost) write(`${sentQos === 2 ? messageId : 0} ${partition}:${offset}`)
  if (sentQos === 2) unreleased.add(messageId)
  const own = socket
  setTimeout(() => {
    if (own === socket) send({ cmd: sentQos === 2 ? "pubrec" : "puback", messageId } as Packet)
  }, answersAfterMs)
}

const received = (packet: Packet): void => {
  if (packet.cmd === "connack") {
    // Each line of a connection: the order of deliveries begins anew.
    write("connected")
    const userProperties = { "stream-offset": "earliest" }
    const subscriptions = [{ topic: `$stream/${stream}`, qos }]
    send({ cmd: "subscribe", messageId: 1, subscriptions, properties: { userProperties } } as unknown as Packet)
  } else if (packet.cmd === "publish") delivered(packet)
  else if (packet.cmd === "pubrel") {
    write(`${packet.messageId} released`)
    unreleased.delete(packet.messageId!)
    send({ cmd: "pubcomp", messageId: packet.messageId } as Packet)
  }
}

const connect = (): void => {
  const codec = parser({ protocolVersion: 5 })
  codec.on("packet", received)
  const own = net.connect(Number(port), "127.0.0.1")
  socket = own
  own.on("connect", () =>
    send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 5,
      clientId,
      clean: false,
      keepalive: 60,
      properties: { sessionExpiryInterval: expirySeconds, receiveMaximum }
    })
  )
  own.on("data", (chunk) => void codec.parse(chunk))
  own.on("error", () => undefined)
  own.on("close", () => void setTimeout(connect, reconnectMs))
}

connect()
