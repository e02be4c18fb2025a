import mqtt, { type IClientOptions, type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connected, type Kit, packet, startKit, subscribePacket } from "./kit.ts"

let kit: Kit
const clients: Array<MqttClient> = []

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
})

const connect = async (clientId: string, options: IClientOptions = {}): Promise<MqttClient> => {
  const url = `mqtt://127.0.0.1:${kit.port}`
  const old = { protocolId: "MQIsdp", protocolVersion: 3, reconnectPeriod: 0 } as const
  const client = await mqtt.connectAsync(url, { ...old, clientId, ...options })
  clients.push(client)
  return client
}

const messagesOf = (client: MqttClient): Array<string> => {
  const got: Array<string> = []
  client.on("message", (topic, payload, { qos, retain }) =>
    got.push(`${topic} ${payload.toString()} ${qos}${retain ? " retained" : ""}`)
  )
  return got
}

describe("a client of MQTT 3.1", () => {
  it("publishes into streams and gets messages of every QoS, retained ones and wills too", async () => {
    await kit.bind("all", ["a/#"])
    const publisher = await connect("publisher", { will: { topic: "a/will", payload: Buffer.from("gone"), qos: 1 } })
    await publisher.publishAsync("a/kept", "k", { qos: 1, retain: true })
    const subscriber = await connect("subscriber")
    const got = messagesOf(subscriber)
    await subscriber.subscribeAsync("a/+", { qos: 2 })
    for (const qos of [0, 1, 2] as const) await publisher.publishAsync("a/x", `${qos}`, { qos })
    publisher.stream.destroy()
    const expected = ["a/kept k 1 retained", "a/x 0 0", "a/x 1 1", "a/x 2 2", "a/will gone 1"]
    await expect.poll(() => got).toEqual(expected)
    expect(kit.records("all").map(({ value }) => value)).toEqual(["k", "0", "1", "2", "gone"])
  })

  it("finds its messages when it comes back to its session, which CONNACK cannot tell of", async () => {
    const first = await connect("back", { clean: false })
    await first.subscribeAsync("a", { qos: 1 })
    await first.endAsync()
    const publisher = await connect("publisher")
    await publisher.publishAsync("a", "meanwhile", { qos: 1 })
    const client = await connected(kit.port, { version: 3, flags: 0, clientId: "back" })
    expect([...client.accepted]).toEqual([0x20, 2, 0, 0])
    expect((await client.packet()).subarray(-9).toString()).toBe("meanwhile")
    client.socket.destroy()
  })

  it("sends a SUBSCRIBE again with DUP, and is granted QoS 0 where it is refused", async () => {
    const client = await connected(kit.port, { version: 3, clientId: "again" })
    const subscribe = subscribePacket(
      1,
      [
        ["a", 1],
        ["$stream/x", 1]
      ],
      3
    )
    client.send(subscribe)
    expect([...(await client.packet())]).toEqual([0x90, 4, 0, 1, 1, 0])
    client.send([subscribe[0]! | 8], subscribe.subarray(1))
    expect([...(await client.packet())]).toEqual([0x90, 4, 0, 1, 1, 0])
    expect([...kit.mqtt.directory.get("again")!.subscriptions.filters()]).toEqual(["a"])
    client.send(packet(0xe0))
    expect((await client.rest()).length).toBe(0)
  })
})
