import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Kit, startKit } from "./kit.ts"

let kit: Kit
const clients: Array<MqttClient> = []

beforeEach(async () => {
  kit = await startKit()
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)))
  await kit.stop()
})

type Version = 4 | 5

const connect = async (version: Version, options: IClientOptions = {}): Promise<MqttClient> => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${kit.port}`, {
    protocolVersion: version,
    reconnectPeriod: 0,
    ...options
  })
  clients.push(client)
  return client
}

/** Everything that comes from now on. */
const inbox = (client: MqttClient): Array<IPublishPacket> => {
  const packets: Array<IPublishPacket> = []
  client.on("message", (_topic, _payload, packet) => packets.push(packet))
  return packets
}

const texts = (packets: ReadonlyArray<IPublishPacket>): Array<string> => packets.map(({ payload }) => String(payload))

for (const version of [4, 5] as const) {
  describe(`MQTT ${version === 4 ? "3.1.1" : "5"}`, () => {
    for (const qos of [0, 1, 2] as const) {
      it(`delivers QoS ${qos} both ways, in order, and stores it`, async () => {
        await kit.bind("sensors", ["sensors/+/data"])
        const subscriber = await connect(version, { clientId: "sub" })
        const publisher = await connect(version, { clientId: "pub" })
        const got = inbox(subscriber)
        await subscriber.subscribeAsync("sensors/#", { qos })
        const sent = Array.from({ length: 100 }, (_, i) => `m${i}`)
        await Promise.all(sent.map((payload) => publisher.publishAsync("sensors/a/data", payload, { qos })))
        await expect.poll(() => got.length).toBe(100)
        expect(texts(got)).toEqual(sent)
        expect(new Set(got.map((packet) => packet.qos))).toEqual(new Set([qos]))
        await kit.seq()
        const records = kit.records("sensors")
        expect(records.map(({ value }) => value)).toEqual(sent)
        expect(records[0]).toEqual({
          key: "pub",
          value: "m0",
          headers: [
            ["mqtt.topic", "sensors/a/data"],
            ["mqtt.clientid", "pub"],
            ["mqtt.qos", String(qos)],
            ["mqtt.retain", "0"]
          ]
        })
      })
    }

    it("keeps retained messages for later subscribers", async () => {
      const publisher = await connect(version)
      await publisher.publishAsync("r/a", "one", { qos: 1, retain: true })
      await publisher.publishAsync("r/b", "two", { qos: 1, retain: true })
      await publisher.publishAsync("r/a", "", { qos: 1, retain: true })
      const subscriber = await connect(version)
      const got = inbox(subscriber)
      await subscriber.subscribeAsync("r/#", { qos: 1 })
      await expect.poll(() => texts(got)).toEqual(["two"])
      expect(got[0]).toMatchObject({ retain: true, qos: 1, topic: "r/b" })
    })
  })
}
