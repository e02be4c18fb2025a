import type { PublicationsRefused } from "@logbrook/actors/client/Client"
import mqtt from "mqtt"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connected, type Kit, type KitOptions, publishPacket, startKit } from "./kit.ts"
import { newestEvents } from "../support/newestEvents.ts"

let kit: Kit

const start = async (options: KitOptions): Promise<void> => {
  await kit.stop()
  kit = await startKit(options)
}

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const refusedOf = (clientId: string): ReadonlyArray<PublicationsRefused> => {
  const events = newestEvents(kit, { actor: `client/${clientId}` })
  return events.map(({ event }) => event as unknown as PublicationsRefused)
}

const refusalLines = () => kit.lines.filter(({ message }) => message === "mqtt: publications refused")

describe("publications that are refused name their client", () => {
  it("by one event and one line for many messages, by reason, of a clean session too", async () => {
    await kit.bind("bound", ["bound"])
    const client = await connected(kit.port, { clientId: "device" })
    for (let packetId = 1; packetId <= 20; packetId++) {
      client.send(publishPacket("$share/x", "x", { qos: 1, packetId }))
      expect((await client.packet())[4]).toBe(0x87)
    }
    kit.disk.isLow = true
    client.send(publishPacket("bound", "x"))
    client.send(publishPacket("bound", "x", { qos: 2, packetId: 21 }))
    await client.packet()
    await expect.poll(() => refusedOf("device").flatMap(({ refused }) => refused)).toHaveLength(2)
    const share = { code: "0x87", count: 20, topic: "$share/x", reason: expect.stringContaining("$share") as string }
    const low = { code: "0x97", count: 2, topic: "bound", reason: "the disk is almost full" }
    expect(refusedOf("device")).toEqual([
      { _tag: "PublicationsRefused", protocol: "mqtt", address: "127.0.0.1", refused: [share, low] }
    ])
    const who = { client: "device", address: "127.0.0.1" }
    expect(refusalLines().map(({ fields }) => fields)).toEqual([
      { ...who, ...share },
      { ...who, ...low }
    ])
    client.socket.destroy()
  })

  it("that has gone since, and whose connection was closed for it: then its line is the only one", async () => {
    const client = await connected(kit.port, { version: 4, clientId: "old" })
    client.send(publishPacket("$queue/x", "x", { version: 4, qos: 1 }))
    await client.rest()
    await expect.poll(() => refusedOf("old")).toHaveLength(1)
    expect(refusedOf("old")[0]!.refused).toMatchObject([{ code: "0x87", count: 1, topic: "$queue/x" }])
    expect(kit.audit.map(({ fields }) => fields["client"])).toEqual(["old"])
    expect(refusalLines()).toEqual([])
    const quiet = await connected(kit.port, { version: 4, clientId: "quiet" })
    quiet.send(publishPacket("$queue/x", "x", { version: 4 }))
    await expect.poll(() => refusalLines().map(({ fields }) => fields["client"])).toEqual(["quiet"])
    quiet.socket.destroy()
  })

  it("to an MQTT 3.1.1 client that goes on, since its acknowledgement cannot tell", async () => {
    const client = await connected(kit.port, { version: 4, clientId: "bridge" })
    client.send(publishPacket("$SYS/x", "x", { version: 4, qos: 1 }))
    expect((await client.packet())[0]).toBe(0x40)
    await expect.poll(() => refusalLines().map(({ fields }) => fields["client"])).toEqual(["bridge"])
    client.socket.destroy()
  })

  it("and leave the packet id of QoS 2 to another message that has it", async () => {
    await kit.bind("bound", ["bound"])
    const client = await connected(kit.port, { version: 4, clientId: "repeats", flags: 0 })
    const message = publishPacket("bound", "x", { version: 4, qos: 2, packetId: 5 })
    const refused = publishPacket("$SYS/x", "x", { version: 4, qos: 2, packetId: 5 })
    // Its answer waits for that of the one before.
    client.send(publishPacket("bound", "first", { version: 4, qos: 1, packetId: 4 }), refused, message)
    expect([...(await client.packet())]).toEqual([0x40, 2, 0, 4])
    for (let i = 0; i < 2; i++) expect([...(await client.packet())]).toEqual([0x50, 2, 0, 5])
    client.send(message)
    expect([...(await client.packet())]).toEqual([0x50, 2, 0, 5])
    expect(kit.records("bound").map(({ value }) => value)).toEqual(["first", "x"])
    client.socket.destroy()
  })

  it("of a will", async () => {
    await start({ limits: { retainedMessagesMax: 1 } })
    const first = await connected(kit.port, { clientId: "first" })
    first.send(publishPacket("full", "x", { qos: 1, retain: true }))
    await first.packet()
    const will = { flags: 2 | 4 | 32, rest: [0, 0, 1, 0x77, 0, 1, 0x78] }
    const client = await connected(kit.port, { clientId: "willing", ...will })
    client.socket.destroy()
    await expect.poll(() => refusedOf("willing")).toHaveLength(1)
    const [event] = refusedOf("willing")
    expect(event).toMatchObject({ address: null, refused: [{ code: "0x97", topic: "w" }] })
    expect(event!.refused[0]!.reason).toBe("will: no more messages can be retained")
    first.socket.destroy()
  })

  it("is journaled before the server stops, also of what is refused while the last of its listeners ends", async () => {
    await kit.bind("bound", ["bound"])
    const { journal, broker } = kit
    const client = await mqtt.connectAsync(`ws://127.0.0.1:${kit.webSocketPort}`, {
      protocolVersion: 5,
      clientId: "last",
      reconnectPeriod: 0
    })
    broker.shards.all[0]!.hold(true)
    client.publish("bound", "x", { qos: 1 })
    client.publish("$share/x", "x", { qos: 1 })
    await expect.poll(() => broker.metrics.render()).toMatch(/messages_received_total\{qos="1"\} 2$/m)
    const stopped = start({})
    setTimeout(() => broker.shards.all[0]!.hold(false), 100)
    await stopped
    const events = newestEvents({ journal, broker }, { actor: "client/last" })
    expect(events.map(({ type }) => type)).toEqual(["PublicationsRefused"])
    await client.endAsync(true)
  })
})
