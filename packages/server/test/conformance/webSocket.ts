import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect } from "vitest"
import { publishPacket, RawClient } from "../mqtt/kit.ts"
import { bytesOf, conforms, connect, packetType, subscribe } from "./kit.ts"
import { server } from "./server.ts"
import type { Version } from "./statements.ts"

// The transports (4.2 and 7.1.1), WebSocket (6), and what the server is (7.0).

const binary = 2
const continuation = 0
const textual = 1
const close = 8

/** A client's frame, masked with zeros. */
const frame = (opcode: number, payload: Uint8Array, isLast = true): Buffer => {
  const length = payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >>> 8, payload.length & 0xff]
  return bytesOf([(isLast ? 0x80 : 0) | opcode, ...length, 0, 0, 0, 0], payload)
}

const sockets: Array<RawClient> = []

/** A client behind its upgrade, and the answer to that. */
const upgraded = async (subprotocols: string): Promise<{ client: RawClient; answer: string }> => {
  const client = new RawClient(server.kit.webSocketPort)
  sockets.push(client)
  const head = [
    "GET /mqtt HTTP/1.1",
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${Buffer.from("sixteen bytes ok").toString("base64")}`,
    `Sec-WebSocket-Protocol: ${subprotocols}`
  ]
  client.send(Buffer.from(`${head.join("\r\n")}\r\n\r\n`))
  return { client, answer: (await client.through("\r\n\r\n")).toString() }
}

/** The next frame's payload, of less than 64 KB. */
const payloadOf = async (client: RawClient, opcode = binary): Promise<Buffer> => {
  const [first, length] = await client.bytes(2)
  expect(first).toBe(0x80 | opcode)
  return client.bytes(length! < 126 ? length! : (await client.bytes(2)).readUInt16BE())
}

/** A client whose CONNECT was taken. */
const connected = async (version: Version): Promise<RawClient> => {
  const { client } = await upgraded("mqtt")
  client.send(frame(binary, connect(version, server.name("ws"))))
  expect((await payloadOf(client))[3]).toBe(0)
  return client
}

afterEach(() => {
  for (const { socket } of sockets.splice(0)) socket.destroy()
})

describe("MQTT over WebSocket", () => {
  conforms(["5.0 MQTT-6.0.0-1", "3.1.1 MQTT-6.0.0-1"], "is in binary frames, and closed at text", async (version) => {
    const client = await connected(version)
    client.send(frame(binary, Buffer.from([packetType.pingreq, 0])))
    expect([...(await payloadOf(client))]).toEqual([packetType.pingresp, 0])
    client.send(frame(textual, Buffer.from([packetType.pingreq, 0])))
    if (version === 5) expect((await payloadOf(client))[0]).toBe(packetType.disconnect)
    await payloadOf(client, close)
    expect(await client.rest()).toHaveLength(0)
  })

  conforms(
    ["5.0 MQTT-6.0.0-2", "3.1.1 MQTT-6.0.0-2"],
    "has packets in parts, and several in a frame",
    async (version) => {
      const client = await connected(version)
      const ping = Buffer.from([packetType.pingreq, 0])
      const packets = bytesOf(ping, subscribe(version, 1, [["a", 1]]), ping)
      for (let cut = 1; cut < packets.length; cut++) {
        client.send(frame(binary, packets.subarray(0, cut)), frame(binary, packets.subarray(cut)))
        client.send(frame(binary, packets.subarray(0, cut), false), frame(continuation, packets.subarray(cut)))
      }
      const expected = {
        [packetType.pingresp]: 4 * (packets.length - 1),
        [packetType.suback]: 2 * (packets.length - 1)
      }
      const found: Record<number, number> = { [packetType.pingresp]: 0, [packetType.suback]: 0 }
      let came = Buffer.alloc(0)
      const bytesInAll = 4 * (packets.length - 1) * 2 + 2 * (packets.length - 1) * (version === 5 ? 6 : 5)
      while (came.length < bytesInAll) came = Buffer.concat([came, await payloadOf(client)])
      for (let at = 0; at < came.length; at += came[at + 1]! + 2) found[came[at]!]!++
      expect(found).toEqual(expected)
    }
  )

  conforms(["5.0 MQTT-6.0.0-4", "3.1.1 MQTT-6.0.0-4"], "has the subprotocol mqtt", async () => {
    for (const offered of ["mqtt", "mqttv3.1, mqtt", "chat, mqtt"]) {
      const { answer } = await upgraded(offered)
      expect(answer).toMatch(/^HTTP\/1.1 101 [^]*\r\nSec-WebSocket-Protocol: mqtt\r\n/)
    }
    expect((await upgraded("chat")).answer).not.toContain(" 101 ")
  })
  conforms("3.1 WEBSOCKET-1", "has the subprotocol mqttv3.1 where no other is offered", async () => {
    expect((await upgraded("mqttv3.1")).answer).toMatch(/^HTTP\/1.1 101 [^]*\r\nSec-WebSocket-Protocol: mqttv3.1\r\n/)
  })
})

describe("the transports", () => {
  conforms(
    ["5.0 MQTT-4.2.0-1", "3.1.1 MQTT-7.1.1-1"],
    "are TCP and WebSocket, in order and without loss",
    async (version) => {
      const topic = server.name()
      const watcher = await server.subscribed(version, topic)
      const payloads = Array.from({ length: 50 }, (_, at) => `${at}`)
      const packets = bytesOf(...payloads.map((payload) => publishPacket(topic, payload, { version })))
      const overTcp = await server.connect(version)
      for (const byte of packets) overTcp.send([byte])
      expect(await watcher.messages(50)).toEqual(payloads)
      const overWebSocket = await connected(version)
      overWebSocket.send(...Array.from(packets, (byte) => frame(binary, Buffer.from([byte]))))
      overWebSocket.send(frame(binary, Buffer.from([packetType.pingreq, 0])))
      await payloadOf(overWebSocket)
      expect(await watcher.messages(50)).toEqual(payloads)
    }
  )

  conforms("3.1.1 MQTT-7.0.0-1", "are listened on: nothing but the command line has a client", async () => {
    const packages = join(import.meta.dirname, "../../..")
    const sources = readdirSync(packages, { recursive: true, encoding: "utf8" })
      .map((path) => path.replaceAll("\\", "/"))
      .filter((path) => /^\w+\/src\/.*\.ts$/.test(path) && !path.startsWith("server/src/cli/"))
    expect(sources.length).toBeGreaterThan(300)
    // The command line's client is the only one.
    const client = /from "([^"]*\/MqttClient\.ts|mqtt)"/
    const using = (paths: ReadonlyArray<string>) =>
      paths.filter((path) => client.test(readFileSync(join(packages, path), "utf8")))
    expect(using(sources)).toEqual([])
    expect(using(["server/src/cli/publish.ts"])).toHaveLength(1)
  })
})
