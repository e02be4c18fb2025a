import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import type { Limits } from "@logbrook/core/Limits"
import { afterEach, describe, expect, it } from "vitest"
import * as kafka from "../kafka/kit.ts"
import { connectPacket, type Kit, RawClient, startKit } from "../mqtt/kit.ts"

// Listeners behind a load balancer, over real sockets.

let kit: Kit

const start = async (limits: Partial<Limits> = {}): Promise<void> => {
  kit = await startKit({ isProxied: true, limits })
}

afterEach(() => kit.stop())

const line = (address: string): Buffer => Buffer.from(`PROXY TCP4 ${address} 10.0.0.1 56324 1883\r\n`)

const binary = (command: 0 | 1, address: ReadonlyArray<number>): Buffer =>
  Buffer.concat([
    Buffer.from("0d0a0d0a000d0a515549540a", "hex"),
    Buffer.from([0x20 | command, 0x11, 0, 12, ...address, 10, 0, 0, 1, 0xdc, 0x04, 0x07, 0x5b])
  ])

const open = () => [kit.broker.gate.open, kit.broker.gate.addresses]

/** An MQTT client behind the load balancer. */
const connect = (address: string, clientId: string): RawClient => {
  const client = new RawClient(kit.port)
  client.send(line(address), connectPacket({ clientId }))
  return client
}

/** The addresses of all MQTT clients. */
const addresses = () => [...kit.mqtt.connections()].map(({ remoteAddress }) => remoteAddress)

describe("MQTT behind a load balancer", () => {
  it.each([
    ["version 1", line("192.0.2.7"), "192.0.2.7"],
    ["version 2", binary(1, [192, 0, 2, 8]), "192.0.2.8"],
    ["the load balancer's own, version 1", Buffer.from("PROXY UNKNOWN\r\n"), "127.0.0.1"],
    ["the load balancer's own, version 2", binary(0, [0, 0, 0, 0]), "127.0.0.1"]
  ])("has the address that a PROXY header tells: %s, in one piece and byte by byte", async (_name, header, address) => {
    await start()
    const bytes = Buffer.concat([header, connectPacket({ clientId: "c" })])
    const whole = new RawClient(kit.port)
    whole.send(bytes)
    expect((await whole.packet())[3]).toBe(0)
    expect(addresses()).toEqual([address])
    whole.socket.destroy()
    await expect.poll(open).toEqual([0, 0])
    const slow = new RawClient(kit.port)
    slow.socket.setNoDelay(true)
    for (const byte of bytes) {
      slow.send([byte])
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await slow.packet())[3]).toBe(0)
    expect(addresses()).toEqual([address])
    slow.socket.destroy()
  })

  it("closes a connection without a header, and tells whose it is", async () => {
    await start()
    const client = new RawClient(kit.port)
    client.send(connectPacket())
    expect(await client.rest()).toHaveLength(0)
    expect(kit.audit).toEqual([
      {
        message: "mqtt: connection refused",
        fields: { address: "127.0.0.1", reason: "the connection does not begin with a PROXY header" }
      }
    ])
    await expect.poll(open).toEqual([0, 0])
  })

  it("closes a connection whose header does not come in time, or whose peer ends before", async () => {
    await start({ connectTimeoutMs: 50 })
    const silent = new RawClient(kit.port)
    silent.send(Buffer.from("PROXY "))
    expect(await silent.rest()).toHaveLength(0)
    expect(kit.audit.map(({ fields }) => fields["reason"])).toEqual(["no PROXY header came in time"])
    await kit.stop()
    await start()
    const ending = new RawClient(kit.port)
    ending.socket.end(Buffer.from("PROXY "))
    expect(await ending.rest()).toHaveLength(0)
    await expect.poll(open).toEqual([0, 0])
  })

  it("counts connections by the address that is told", async () => {
    await start({ connectionsPerAddressMax: 1 })
    const first = connect("192.0.2.1", "first")
    expect((await first.packet())[3]).toBe(0)
    const second = connect("192.0.2.2", "second")
    expect((await second.packet())[3]).toBe(0)
    expect(open()).toEqual([2, 2])
    const third = connect("192.0.2.1", "third")
    expect((await third.packet())[3]).toBe(0x97)
    third.socket.destroy()
    await expect.poll(open).toEqual([2, 2])
    first.socket.destroy()
    await expect.poll(open).toEqual([1, 1])
    second.socket.destroy()
  })

  it("does not wait for headers when it stops", async () => {
    await start({ connectTimeoutMs: 3_600_000 })
    const client = new RawClient(kit.port)
    client.send(Buffer.from("PROXY "))
    await expect.poll(() => kit.broker.gate.open).toBe(1)
    await kit.stop()
    expect(await client.rest()).toHaveLength(0)
    expect(open()).toEqual([0, 0])
    await start()
  })

  it("takes no header where there is no load balancer", async () => {
    kit = await startKit()
    const client = new RawClient(kit.port)
    client.send(line("192.0.2.7"), connectPacket())
    expect(await client.rest()).toHaveLength(0)
    expect(addresses()).not.toContain("192.0.2.7")
  })
})

describe("Kafka behind a load balancer", () => {
  it("has the address that a PROXY header tells, and takes nothing without", async () => {
    kit = await startKit()
    const behind = await kafka.startKit({ isProxied: true })
    const client = await behind.connect()
    client.write(line("192.0.2.7"))
    expect(await client.send(ApiVersions, 0, {})).toMatchObject({ errorCode: 0 })
    // Another one of the same address is no other address.
    const same = behind.broker.gate.admit("192.0.2.7")!
    expect([behind.broker.gate.open, behind.broker.gate.addresses]).toEqual([2, 1])
    same.release()
    const direct = await behind.connect()
    direct.write(direct.requestOf(ApiVersions, 0, {}))
    await direct.closed()
    expect(direct.responses).toEqual([])
    await behind.close()
  })
})
