import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { once } from "node:events"
import * as net from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { differences } from "./differential/compare.ts"
import { knownFor } from "./differential/known.ts"
import { Side } from "./differential/Side.ts"

const silenceMs = 100
const answerMsMax = 60_000
const ask = (side: Side) => side.ask(ApiVersions, 0, {})

describe("a server that does not answer", () => {
  const servers: Array<net.Server> = []
  const sockets: Array<net.Socket> = []
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
    for (const server of servers.splice(0)) server.close()
  })

  const sideOf = async (serve: (socket: net.Socket) => void, timeoutMs = answerMsMax): Promise<Side> => {
    const server = net.createServer((socket) => {
      sockets.push(socket)
      serve(socket)
    })
    servers.push(server)
    await once(server.listen(0, "127.0.0.1"), "listening")
    return new Side("kafka", (server.address() as net.AddressInfo).port, timeoutMs)
  }

  it("has closed the connection, or leaves the request as it is", async () => {
    const closing = await sideOf((socket) => void socket.on("data", () => socket.destroy()))
    const silent = await sideOf((socket) => void socket.resume(), silenceMs)
    expect([await ask(closing), await ask(closing)], "and so on a new connection").toEqual(["closed", "closed"])
    expect([await ask(silent), await ask(silent)]).toEqual(["no answer", "no answer"])
    await expect(silent.need(ApiVersions, 0, {})).rejects.toThrow("kafka, ApiVersions 0: no answer")
    expect(differences("no answer", "closed")).toEqual([{ path: "", kafka: '"no answer"', logbrook: '"closed"' }])
  })

  it("has closed also where it did so before it was asked", async () => {
    const answer = Buffer.from("0000000a00000001000000000000", "hex")
    const side = await sideOf((socket) => void socket.on("data", () => socket.end(answer)))
    expect(await ask(side)).toMatchObject({ errorCode: 0 })
    await once(sockets[0]!, "close")
    expect(await ask(side)).toBe("closed")
  })

  it("is known by what it does", () => {
    const asked = { api: { name: "AlterConfigs" }, what: "of a topic twice" } as Parameters<typeof knownFor>[0]
    expect(knownFor(asked, { path: "", kafka: '"no answer"' })).toMatchObject({ kafka: "no answer" })
    expect(knownFor(asked, { path: "", kafka: '"closed"' })).toBeUndefined()
  })
})
