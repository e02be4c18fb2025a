import * as net from "node:net"
import { once } from "node:events"
import { afterEach, describe, expect, it, vi } from "vitest"
import { createSharedServer, readShared } from "../../src/net/sharedReads.ts"
import { errorName, TcpTransport } from "../../src/mqtt/TcpTransport.ts"

const servers: Array<net.Server> = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

interface Served {
  readonly transport: TcpTransport
  readonly socket: net.Socket
  /** The peer, which reads nothing before it is asked to. */
  readonly client: net.Socket
  readonly drains: () => number
  readonly events: ReadonlyArray<string>
}

const serve = async (): Promise<Served> => {
  const events: Array<string> = []
  let drains = 0
  const accepted = Promise.withResolvers<{ transport: TcpTransport; socket: net.Socket }>()
  const server = createSharedServer((socket) => {
    const transport = new TcpTransport(socket, "", () => void drains++)
    socket.on("error", (error) => events.push(errorName(error)))
    socket.on("close", () => events.push("close"))
    readShared(socket, () => undefined)
    accepted.resolve({ transport, socket })
  })
  servers.push(server)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1")
  client.pause()
  return { ...(await accepted.promise), client, drains: () => drains, events }
}

const numbered = (bytes: number, first: number): Buffer => {
  const buffer = Buffer.alloc(bytes)
  for (let i = 0; i + 4 <= bytes; i += 4) buffer.writeUInt32BE(first + i, i)
  return buffer
}

const received = async (client: net.Socket): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  for await (const part of client) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** More than the system takes for a peer that does not read. */
const muchBytes = 16 * 1024 * 1024

describe("a connection's bytes over TCP", () => {
  it("go to the system past the socket's own queue, where it has nothing to write", async () => {
    const { transport, socket, client } = await serve()
    const write = vi.spyOn(socket, "write")
    transport.write([Buffer.from("a"), Buffer.from("b")])
    transport.write([Buffer.from("c")])
    expect(write).not.toHaveBeenCalled()
    expect(transport.unsentBytes).toBe(0)
    transport.end()
    expect((await received(client)).toString()).toBe("abc")
  })

  it("stay in order, and are counted until the system has taken them", async () => {
    const { transport, client, drains } = await serve()
    const sent = [
      numbered(muchBytes, 0),
      numbered(400, 7),
      numbered(100_000, 9),
      numbered(100_000, 10),
      numbered(40, 11)
    ]
    transport.write([sent[0]!])
    expect(transport.unsentBytes).toBe(muchBytes)
    transport.write([sent[1]!])
    transport.write([sent[2]!, sent[3]!])
    expect(transport.unsentBytes).toBe(muchBytes + 400 + 200_000)
    expect(drains()).toBe(0)
    const all = received(client)
    await expect.poll(() => transport.unsentBytes).toBe(0)
    expect(drains()).toBeGreaterThan(0)
    transport.write([sent[4]!])
    transport.end()
    expect((await all).equals(Buffer.concat(sent))).toBe(true)
  })

  it("tell that they are drained also where the last ones are few", async () => {
    const { transport, client, drains } = await serve()
    transport.write([numbered(muchBytes, 0)])
    transport.write([Buffer.from("few")])
    client.resume()
    await expect.poll(() => drains()).toBe(1)
    expect(transport.unsentBytes).toBe(0)
    client.destroy()
  })

  it("arrive whole where the connection is ended behind what the system has not taken", async () => {
    const { transport, client } = await serve()
    transport.write([numbered(muchBytes, 0)])
    transport.end()
    expect((await received(client)).equals(numbered(muchBytes, 0))).toBe(true)
  })

  it("that the system refuses end the connection with its reason", async () => {
    const { transport, client, events } = await serve()
    transport.write([numbered(muchBytes, 0)])
    client.resetAndDestroy()
    await expect.poll(() => events).toEqual([expect.stringMatching(/^(ECONNRESET|EPIPE)$/), "close"])
    transport.write([Buffer.from("more")])
    expect(events).toHaveLength(2)
  })
})
