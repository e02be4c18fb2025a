import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { connected, connectPacket, type Kit, publishPacket, RawClient, startKit, subscribePacket } from "./kit.ts"

let kit: Kit
let journal: HeldJournal
const clients: Array<RawClient> = []

beforeEach(async () => {
  journal = new HeldJournal()
  kit = await startKit({ journal })
})

afterEach(async () => {
  journal.release()
  for (const client of clients.splice(0)) client.socket.destroy()
  await kit.stop()
})

const pingreq = [0xc0, 0]
const pingresp = [0xd0, 0]

/** A session that stays. */
const durable = (clientId: string) => ({ clientId, flags: 0, properties: [17, 0, 0, 14, 16] })

const connect = async (clientId: string): Promise<RawClient> => {
  const client = await connected(kit.port, durable(clientId))
  clients.push(client)
  return client
}

/** PINGREQ waits for no commit: what comes before its answer was sent before anything was durable. */
const hearsNothing = async (client: RawClient): Promise<void> => {
  client.send(pingreq)
  expect([...(await client.packet())]).toEqual(pingresp)
}

/** What a client hears of what it sends, once that is durable and not before. */
const heardOnceDurable = async (client: RawClient, ...sent: ReadonlyArray<Uint8Array | ReadonlyArray<number>>) => {
  journal.hold()
  client.send(...sent)
  await expect.poll(() => journal.undurable).toBeGreaterThan(0)
  await hearsNothing(client)
  journal.release()
  return [...(await client.packet())]
}

describe("nothing is answered before it is durable", () => {
  beforeEach(() => kit.bind("stored", ["a"]))

  it("PUBACK", async () => {
    const client = await connect("p")
    expect(await heardOnceDurable(client, publishPacket("a", "x", { qos: 1, packetId: 7 }))).toEqual([0x40, 2, 0, 7])
  })

  it("PUBREC", async () => {
    const client = await connect("p")
    expect(await heardOnceDurable(client, publishPacket("a", "x", { qos: 2, packetId: 7 }))).toEqual([0x50, 2, 0, 7])
  })

  it("PUBCOMP", async () => {
    const client = await connect("p")
    client.send(publishPacket("a", "x", { qos: 2, packetId: 7 }))
    await client.packet()
    expect(await heardOnceDurable(client, [0x62, 2, 0, 7])).toEqual([0x70, 2, 0, 7])
  })

  it("SUBACK of a durable session", async () => {
    const client = await connect("s")
    expect((await heardOnceDurable(client, subscribePacket(9, [["a", 1]])))[0]).toBe(0x90)
  })

  it("CONNACK of a durable session", async () => {
    journal.hold()
    const client = new RawClient(kit.port)
    clients.push(client)
    client.send(connectPacket(durable("c")))
    await expect.poll(() => journal.undurable).toBeGreaterThan(0)
    expect(client.waitingBytes).toBe(0)
    journal.release()
    expect((await client.packet())[0]).toBe(0x20)
  })
})

/** A durable subscriber that comes back to a message in its queue. */
const backTo = async (qos: 1 | 2): Promise<RawClient> => {
  const first = await connect("s")
  first.send(subscribePacket(1, [["q", qos]]))
  await first.packet()
  first.send([0xe0, 0])
  await first.rest()
  const publisher = await connect("p")
  publisher.send(publishPacket("q", "x", { qos, packetId: 1 }))
  await publisher.packet()
  await kit.seq()
  journal.hold()
  const client = new RawClient(kit.port)
  clients.push(client)
  client.send(connectPacket(durable("s")))
  await expect.poll(() => journal.undurable).toBeGreaterThan(0)
  journal.makeDurable()
  expect((await client.packet())[0]).toBe(0x20)
  // The packet id of what is in the queue.
  await expect.poll(() => journal.undurable).toBeGreaterThan(0)
  return client
}

describe("what a client must not see twice", () => {
  it("of QoS 2, is not sent before its packet id is durable", async () => {
    const client = await backTo(2)
    await hearsNothing(client)
    journal.release()
    expect((await client.packet())[0]).toBe(0x34)
  })

  it("is not released by PUBREL before PUBREC is durable", async () => {
    const client = await backTo(2)
    journal.release()
    const packetId = [...(await client.packet()).subarray(5, 7)]
    expect(await heardOnceDurable(client, [0x50, 2, ...packetId])).toEqual([0x62, 2, ...packetId])
  })

  it("of QoS 1, does not wait: it may come twice", async () => {
    const client = await backTo(1)
    expect((await client.packet())[0]).toBe(0x32)
  })
})
