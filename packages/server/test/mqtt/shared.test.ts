import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connected, type Kit, publishPacket, type RawConnect, startKit, subscribePacket } from "./kit.ts"

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const gone = (): number =>
  Number(/messages_dropped_total\{reason="shared_member_gone"\} (\d+)/.exec(kit.broker.metrics.render())![1])

const told = (): ReadonlyArray<unknown> =>
  kit.audit.filter(({ message }) => message.includes("shared subscription")).map(({ fields }) => fields)

const member = async (clientId: string, filter: string, options: RawConnect = {}) => {
  const client = await connected(kit.port, { clientId, ...options })
  client.send(subscribePacket(1, [[filter, 1]]))
  await client.packet()
  return client
}

const publish = async (count: number): Promise<void> => {
  const publisher = await connected(kit.port, { clientId: "pub" })
  for (let i = 1; i <= count; i++) publisher.send(publishPacket("a", String(i), { qos: 1, packetId: i }))
  for (let i = 1; i <= count; i++) await publisher.packet()
  publisher.socket.destroy()
}

const receiveMaximum1 = [33, 0, 1]
const durable = { flags: 0, properties: [17, 0, 0, 14, 16, ...receiveMaximum1] }

describe("a member of a shared subscription that goes", () => {
  it("takes along what it had not acknowledged, which is counted and told", async () => {
    const first = await member("first", "$share/g/a", { properties: receiveMaximum1 })
    const second = await member("second", "$share/g/a", { properties: receiveMaximum1 })
    await publish(10)
    const message = await first.packet()
    first.send([0x40, 2, message[5]!, message[6]!])
    await first.packet()
    expect(gone()).toBe(0)
    first.socket.destroy()
    await expect.poll(gone).toBe(4)
    expect(told()).toEqual([{ client: "first", count: 4 }])
    second.socket.destroy()
    await expect.poll(gone).toBe(9)
  })

  it("has nothing to be counted of its other subscriptions", async () => {
    const client = await member("client", "a", { properties: receiveMaximum1 })
    await publish(5)
    await client.packet()
    client.socket.destroy()
    await expect.poll(() => kit.mqtt.directory.size).toBe(0)
    expect([gone(), told()]).toEqual([0, []])
  })

  it("loses nothing as long as its session lives, and its queue with that", async () => {
    const client = await member("client", "$share/g/a", durable)
    client.send(subscribePacket(2, [["b/#", 1]]))
    await client.packet()
    await publish(3)
    await client.packet()
    client.socket.destroy()
    await expect.poll(() => kit.mqtt.directory.get("client")?.connection).toBe(undefined)
    await publish(2)
    expect(gone()).toBe(0)
    kit.mqtt.kick("client", "test", true)
    await expect.poll(gone).toBe(5)
    expect(told()).toEqual([{ client: "client", count: 5 }])
  })

  it("does not get what was its turn and is not durable yet: counted as well", async () => {
    const client = await member("client", "$share/g/a")
    const publisher = await connected(kit.port, { clientId: "pub" })
    kit.shard.hold(true)
    publisher.send(publishPacket("a", "x", { qos: 2 }), [0xc0, 0])
    await publisher.packet()
    client.socket.destroy()
    await expect.poll(() => [...kit.mqtt.connections()].length).toBe(1)
    kit.shard.hold(false)
    await expect.poll(gone).toBe(1)
    publisher.socket.destroy()
  })
})
