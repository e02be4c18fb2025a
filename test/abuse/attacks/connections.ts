import { randomBytes } from "node:crypto"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { generate } from "mqtt-packet"
import { type Attack, kafkaRequest, sleep, withHorde, written } from "../Attack.ts"

const kib = 1024

/** A CONNECT that announces 60 KiB, with a password as long as that. */
export const longConnect = (n: number): Buffer =>
  generate({
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 5,
    clean: true,
    keepalive: 60,
    clientId: `hostile-${n}`,
    username: "u",
    password: randomBytes(60 * kib)
  })

export const produceOf = (bytes: number): Buffer =>
  kafkaRequest(Produce, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: "free", partitionData: [{ index: 0, records: randomBytes(bytes) }] }]
  })

/** A thousand connections that never say who they are: half a CONNECT each, or a part of a Produce of 16 MiB. */
export const hostileConnections: Attack = (field) =>
  withHorde(field, async (horde) => {
    const each = Math.ceil(500 * field.scale)
    const connect = longConnect(0)
    const produce = produceOf(15 * kib * kib)
    const mqtt = await horde.connectMany(field.ports.mqtt, each)
    for (const socket of mqtt) void written(socket, connect.subarray(0, 50 * kib))
    const kafka = await horde.connectMany(field.ports.kafka, each)
    for (const socket of kafka) void written(socket, produce.subarray(0, 50 * kib))
  })

/** One byte a second: of CONNECT, of a first Kafka request, of HTTP headers, and of a PUBLISH in session. */
export const slowLoris: Attack = (field) =>
  withHorde(field, async (horde) => {
    const each = Math.ceil(200 * field.scale)
    const connect = longConnect(1)
    const produce = produceOf(1000)
    const get = Buffer.from(`GET /healthz HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(1000)}`)
    const publish = Buffer.concat([Buffer.from([0x30, 0xff, 0x7f, 0, 1]), Buffer.alloc(2000, "a")])
    const sessions = await horde.connectMany(field.ports.mqtt, each, () => undefined)
    for (const [n, socket] of sessions.entries()) {
      const clientId = `loris-${n}`
      socket.write(generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, clientId }))
    }
    const rows = [
      { sockets: sessions, bytes: publish },
      { sockets: await horde.connectMany(field.ports.mqtt, each), bytes: connect },
      { sockets: await horde.connectMany(field.ports.kafka, each), bytes: produce },
      { sockets: await horde.connectMany(field.ports.http, each), bytes: get }
    ]
    for (let at = 0; !field.signal.aborted && at < 2000; at++) {
      for (const { sockets, bytes } of rows) {
        for (const socket of sockets) if (!socket.destroyed) socket.write(bytes.subarray(at, at + 1))
      }
      await sleep(1000, field.signal)
    }
  })

/** Requests of 2 GB and packets of 256 MB, told in a few bytes, again and again. */
export const hugeSizes: Attack = (field) =>
  withHorde(field, async (horde) => {
    const kafka = [Buffer.from("7fffffff00120003", "hex"), Buffer.from("00ffffff00030009", "hex")]
    const mqtt = [Buffer.from("10ffffff7f", "hex"), Buffer.from("30ffffff7f", "hex")]
    for (let n = 0; !field.signal.aborted; n++) {
      const [one, other] = await Promise.all([horde.connect(field.ports.kafka), horde.connect(field.ports.mqtt)])
      one?.resume().write(kafka[n % 2]!)
      other?.resume().write(mqtt[n % 2]!)
      await sleep(5, field.signal)
    }
  })
