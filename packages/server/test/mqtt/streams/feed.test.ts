import { afterEach, describe, expect, it, vi } from "vitest"
import { StreamFeed } from "../../../src/mqtt/streams/StreamFeed.ts"
import { StreamReader } from "../../../src/mqtt/streams/StreamReader.ts"
import { connected, type Kit, packet, publishPacket, type RawClient, startKit, subscribePacket } from "../kit.ts"

let kit: Kit

afterEach(async () => {
  vi.restoreAllMocks()
  await kit.stop()
})

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const transit = (): number => kit.broker.shards.memory.bytes("transit")

/** Of MQTT 3.1.1, with a session that stays. */
const connect = (clientId: string): Promise<RawClient> => connected(kit.port, { clientId, version: 4, flags: 0 })

const publish = async (count: number, topic: string): Promise<void> => {
  const client = await connect("publisher")
  const packetOf = (i: number): Buffer => publishPacket(topic, String(i), { version: 4, qos: 1, packetId: i + 1 })
  client.send(...Array.from({ length: count }, (_, i) => packetOf(i)))
  for (let i = 0; i < count; i++) await client.packet()
  client.socket.destroy()
}

const subscribe = (filter: string, packetId = 1): Buffer => subscribePacket(packetId, [[filter, 1]], 4)

const unsubscribe = (filter: string): Buffer =>
  packet(0xa2, [0, 9, filter.length >>> 8, filter.length & 0xff], Buffer.from(filter))

const puback = (message: Buffer): Buffer => {
  const idAt = 4 + message[3]!
  return Buffer.from([0x40, 2, message[idAt]!, message[idAt + 1]!])
}

const valueOf = (message: Buffer): number => Number(message.subarray(6 + message[3]!).toString())

/** The next packet of this type. */
const packetOfType = async (client: RawClient, type: number): Promise<Buffer> => {
  for (;;) {
    const next = await client.packet()
    if (next[0]! >>> 4 === type) return next
  }
}

const message = (client: RawClient): Promise<Buffer> => packetOfType(client, 3)
const suback = (client: RawClient): Promise<Buffer> => packetOfType(client, 9)

describe("a connection that reads many streams", () => {
  it("looks at nothing while nothing comes, and then at the streams alone that have more", async () => {
    kit = await startKit()
    await kit.bind("orders", ["devices/#"])
    await kit.bind("other", ["else/#"])
    const looks = vi.spyOn(StreamReader.prototype, "look")
    const client = await connect("reader")
    for (let n = 0; n < 5; n++) {
      const filters = Array.from({ length: 64 }, (_, i) => [`$stream/orders/devices/${n}/${i}`, 1] as const)
      client.send(subscribePacket(n + 1, filters, 4))
      expect((await client.packet())[0]).toBe(0x90)
    }
    client.send(subscribe("$stream/other"))
    expect((await client.packet())[0]).toBe(0x90)
    await expect.poll(() => looks.mock.calls.length).toBeGreaterThanOrEqual(321)
    await sleep(50)
    const before = looks.mock.calls.length
    await sleep(50)
    expect(looks.mock.calls.length).toBe(before)
    await publish(1, "else/x")
    expect(valueOf(await message(client))).toBe(0)
    await sleep(50)
    expect(looks.mock.calls.length - before).toBeLessThan(10)
    client.socket.destroy()
  })

  it("reads them by turns", async () => {
    kit = await startKit({ limits: { inflightPerSessionMax: 5000 } })
    await kit.bind("orders", ["devices/#"])
    await publish(1000, "devices/x")
    const client = await connected(kit.port, { clientId: "reader" })
    const readers: Array<unknown> = []
    const look = StreamReader.prototype.look
    vi.spyOn(StreamReader.prototype, "look").mockImplementation(function (this: StreamReader) {
      if (readers.at(-1) !== this) readers.push(this)
      return look.call(this)
    })
    client.send(
      subscribePacket(
        1,
        ["", "/#", "/+/x"].map((filter) => [`$stream/orders?from=earliest${filter}`, 1])
      )
    )
    for (let n = 0; n < 3001; n++) await client.packet()
    const [a, b, c] = readers
    expect(new Set([a, b, c]).size).toBe(3)
    expect(readers.slice(0, 6).map((reader) => [a, b, c].indexOf(reader))).toEqual([0, 1, 2, 0, 1, 2])
    client.socket.destroy()
  })

  it("keeps nothing of one that has reached its end", async () => {
    kit = await startKit()
    await kit.bind("orders", ["devices/#"], 4)
    await publish(10, "devices/x")
    const client = await connect("reader")
    const before = transit()
    client.send(subscribe("$stream/orders?from=earliest&until=now"))
    for (let n = 0; n < 10; n++) client.send(puback(await message(client)))
    await expect.poll(transit).toBe(before)
    client.send(subscribe("$stream/orders?from=earliest&until=now"))
    expect((await client.packet())[0]).toBe(0x90)
    await expect.poll(transit).toBe(before)
    expect(client.waitingBytes).toBe(0)
    client.socket.destroy()
    await expect.poll(transit).toBe(0)
    const again = await connect("reader")
    await sleep(50)
    expect(again.waitingBytes).toBe(0)
    again.socket.destroy()
  })
})

describe("messages on their way into the queue", () => {
  it("are on the account, and forgotten with the subscription that the queue has no room for", async () => {
    kit = await startKit({ limits: { offlineQueueMessagesMax: 3 } })
    await kit.bind("orders", ["devices/#"])
    await publish(20, "devices/x")
    const look = StreamReader.prototype.look
    const readers = new Set<StreamReader>()
    vi.spyOn(StreamReader.prototype, "look").mockImplementation(function (this: StreamReader) {
      readers.add(this)
      return look.call(this)
    })
    const client = await connect("reader")
    const before = transit()
    client.send(subscribe("$stream/orders?from=earliest"))
    // Those three fill the queue, and the next three wait for it.
    for (let n = 0; n < 3; n++) await message(client)
    const [reader] = readers
    await expect.poll(() => transit() - before - reader!.byteLength).toBeGreaterThan(3 * 500)
    client.send(unsubscribe("$stream/orders"))
    expect((await client.packet())[0]).toBe(0xb0)
    await expect.poll(transit).toBe(before)
    client.socket.destroy()
  })
})

describe("a subscription that is made anew", () => {
  const again = "$stream/orders?from=earliest&reset=1"

  it.each([
    ["a SUBSCRIBE that begins anew", subscribe(again, 2), [true]],
    ["an UNSUBSCRIBE", unsubscribe("$stream/orders"), []]
  ])("is not read before the answer to what was read last: %s", async (_, last, resets) => {
    kit = await startKit()
    await kit.bind("orders", ["devices/#"])
    const added = vi.spyOn(StreamFeed.prototype, "add")
    const client = await connect("reader")
    client.send(subscribe("$stream/orders"), last)
    expect((await client.packet())[0]).toBe(0x90)
    await client.packet()
    expect(added.mock.calls.map(([, isAnew]) => isAnew)).toEqual(resets)
    client.socket.destroy()
  })

  it.each([
    ["SUBSCRIBE", [subscribe(again)]],
    ["UNSUBSCRIBE and SUBSCRIBE", [unsubscribe("$stream/orders"), subscribe("$stream/orders?from=earliest", 2)]]
  ])("has its own positions, whatever its client took in the same moment: %s", async (_, packets) => {
    kit = await startKit({ limits: { inflightPerSessionMax: 10 } })
    await kit.bind("orders", ["devices/#"])
    await publish(300, "devices/x")
    const client = await connect("reader")
    client.send(subscribe("$stream/orders?from=earliest"))
    // 128 are read then: 65 of them behind the window are as many as there may be without one more being read.
    for (let n = 0; n < 53; n++) {
      const next = await message(client)
      expect(valueOf(next)).toBe(n)
      client.send(puback(next))
    }
    await expect.poll(() => kit.mqtt.directory.get("reader")!.facts.queued).toBe(75)
    client.send(puback(await message(client)), ...packets)
    await suback(client)
    await sleep(50)
    client.socket.destroy()
    await kit.seq()
    const next = await connect("reader")
    const got: Array<number> = []
    while (got.at(-1) !== 299) {
      const one = await message(next)
      got.push(valueOf(one))
      next.send(puback(one))
    }
    const own = Array.from({ length: 300 }, (_, i) => i)
    expect(got).toEqual([...own.slice(54, 128), ...own])
    next.socket.destroy()
  })
})
