import * as net from "node:net"
import { once } from "node:events"
import { afterEach, expect, it } from "vitest"
import { createSharedServer, readShared } from "../src/net/sharedReads.ts"

const servers: Array<net.Server> = []

afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const listen = async (onSocket: (socket: net.Socket) => void): Promise<{ server: net.Server; port: number }> => {
  const server = createSharedServer(onSocket)
  servers.push(server)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return { server, port: (server.address() as net.AddressInfo).port }
}

it("hands over every byte of many connections in order, and uses one buffer", async () => {
  const buffers = new Set<ArrayBufferLike>()
  const { port } = await listen((socket) => {
    readShared(socket, (chunk) => {
      buffers.add(chunk.buffer)
      socket.write(Buffer.from(chunk))
    })
    socket.on("end", () => socket.end())
  })
  const clients = Array.from({ length: 20 }, async (_, i) => {
    const client = net.connect(port, "127.0.0.1")
    const sent = Buffer.alloc(300_000, i)
    client.end(sent)
    const parts: Array<Buffer> = []
    for await (const part of client) parts.push(part as Buffer)
    return Buffer.concat(parts).equals(sent)
  })
  expect(await Promise.all(clients)).toEqual(clients.map(() => true))
  expect(buffers.size).toBe(1)
})

it("reads no connection twice before the others when there is more than a read holds", async () => {
  const order: Array<number> = []
  const accepted: Array<net.Socket> = []
  const { port } = await listen((socket) => void accepted.push(socket))
  const clients = [net.connect(port, "127.0.0.1"), net.connect(port, "127.0.0.1")]
  for (const client of clients) client.write(Buffer.alloc(400_000))
  await expect.poll(() => accepted.length).toBe(2)
  await new Promise((resolve) => setTimeout(resolve, 50))
  for (const [i, socket] of accepted.entries()) readShared(socket, () => void order.push(i))
  await expect.poll(() => order.length).toBeGreaterThanOrEqual(10)
  expect(order.slice(0, 6).filter((i) => i === 0)).toHaveLength(3)
  for (const client of clients) client.destroy()
})

it("reads nothing while paused, and goes on after", async () => {
  let bytes = 0
  let socket: net.Socket | undefined
  const { port } = await listen((accepted) => {
    socket = accepted
    readShared(accepted, (chunk) => {
      bytes += chunk.length
      accepted.pause()
    })
  })
  const client = net.connect(port, "127.0.0.1")
  client.write(Buffer.alloc(1_000_000))
  await expect.poll(() => bytes).toBeGreaterThan(0)
  const seen = bytes
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(bytes).toBe(seen)
  socket!.resume()
  await expect.poll(() => bytes).toBeGreaterThan(seen)
  client.destroy()
})

it("tells of a reset and of the end, and the server closes when its connections are gone", async () => {
  const events: Array<string> = []
  const { server, port } = await listen((socket) => {
    readShared(socket, () => undefined)
    socket.on("error", () => events.push("error"))
    socket.on("close", () => events.push("close"))
  })
  const client = net.connect(port, "127.0.0.1")
  await once(client, "connect")
  await expect.poll(() => new Promise<number>((resolve) => server.getConnections((_e, n) => resolve(n)))).toBe(1)
  client.resetAndDestroy()
  await expect.poll(() => events).toEqual(["error", "close"])
  await expect.poll(() => new Promise<number>((resolve) => server.getConnections((_e, n) => resolve(n)))).toBe(0)
  const closed = once(server, "close")
  server.close()
  await closed
})

it("reads nothing before it is asked to, and knows who has connected", async () => {
  const sockets: Array<net.Socket> = []
  const { port } = await listen((socket) => sockets.push(socket))
  const client = net.connect(port, "127.0.0.1")
  await once(client, "connect")
  client.write("early")
  await expect.poll(() => sockets.length).toBe(1)
  expect(sockets[0]!.remoteAddress).toBe("127.0.0.1")
  expect(sockets[0]!.remotePort).toBe(client.localPort)
  const chunks: Array<string> = []
  readShared(sockets[0]!, (chunk) => chunks.push(chunk.toString()))
  await expect.poll(() => chunks.join("")).toBe("early")
  client.destroy()
})

it("reads a socket of Node's own in the ordinary way", async () => {
  const chunks: Array<string> = []
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    readShared(socket, (chunk) => chunks.push(chunk.toString()))
  })
  servers.push(server)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1")
  client.end("plain")
  await expect.poll(() => chunks.join("")).toBe("plain")
})
