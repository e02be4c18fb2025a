import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { connected, connectPacket, type Kit, publishPacket, RawClient, startKit, subscribePacket } from "./kit.ts"

let kit: Kit
let journal: HeldJournal
let whatFails: Array<string>
const clients: Array<RawClient> = []

beforeEach(async () => {
  journal = new HeldJournal()
  whatFails = []
  kit = await startKit({ journal, limits: { commitPacingMs: 0 }, onDefect: (where) => whatFails.push(where) })
})

afterEach(async () => {
  journal.release()
  for (const client of clients.splice(0)) client.socket.destroy()
  await kit.stop()
})

const connect = async (clientId: string): Promise<RawClient> => {
  const client = await connected(kit.port, { clientId, flags: 0, properties: [17, 0, 0, 14, 16] })
  clients.push(client)
  return client
}

const isHeld = (commits: number) => expect.poll(() => journal.undurable).toBe(commits)
const retained = (topic: string): string | undefined => {
  const message = kit.mqtt.retained.get(topic, kit.broker.clock.nowMs())
  return message && Buffer.from(message.payload).toString()
}

/** The payloads of the next PUBLISHes of QoS 0 to the topic `a`, and whether each is said to be retained. */
const published = async (client: RawClient, count: number) => {
  const told: Array<readonly [string, boolean]> = []
  while (told.length < count) {
    const packet = await client.packet()
    if (packet[0]! >> 4 === 3) told.push([packet.subarray(6).toString(), (packet[0]! & 1) === 1])
  }
  return told
}

const publish = (client: RawClient, payload: string, packetId: number) =>
  client.send(publishPacket("a", payload, { qos: 1, packetId, retain: true }))

describe("what is retained", () => {
  it("is what is durable, while a message is on its way to the journal and once it is there", async () => {
    const client = await connect("p")
    publish(client, "old", 1)
    await client.packet()
    journal.hold()
    publish(client, "new", 2)
    await isHeld(1)
    expect([retained("a"), retained("b")]).toEqual(["old", undefined])
    journal.release()
    await client.packet()
    expect(retained("a")).toBe("new")
  })

  it("comes to who subscribes behind a message that is not durable yet: that message, and not the one before", async () => {
    const publisher = await connect("p")
    publish(publisher, "old", 1)
    await publisher.packet()
    const subscriber = await connected(kit.port, { clientId: "s" })
    clients.push(subscriber)
    journal.hold()
    publish(publisher, "new", 2)
    await isHeld(1)
    subscriber.send(subscribePacket(9, [["a", 0]]))
    await isHeld(2)
    journal.release()
    publisher.send(publishPacket("a", "end", { qos: 1, packetId: 3 }))
    expect(await published(subscriber, 2)).toEqual([
      ["new", true],
      ["end", false]
    ])
  })
})

describe("MQTT sessions", () => {
  it("are there once they are durable", async () => {
    journal.hold()
    const client = new RawClient(kit.port)
    clients.push(client)
    client.send(connectPacket({ clientId: "c", flags: 0, properties: [17, 0, 0, 14, 16] }))
    await expect.poll(() => journal.undurable).toBeGreaterThan(0)
    expect(kit.mqtt.directory.size).toBe(0)
    journal.release()
    await client.packet()
    expect(kit.mqtt.directory.size).toBe(1)
  })
})
