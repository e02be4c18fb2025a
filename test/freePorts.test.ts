import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { beforeEach, expect, it } from "vitest"
import { temporaryDirectory } from "../packages/core/test/support/temporary.ts"
import { claimPort, host } from "./support/freePorts.ts"

// Ports for the servers that tests start.

let claims: string
let server: net.Server
let port: number

beforeEach(async () => {
  claims = temporaryDirectory()
  server = net.createServer().listen(0, host)
  await once(server, "listening")
  port = (server.address() as net.AddressInfo).port
  return () => server.close()
})

const stopListening = async (): Promise<void> => {
  server.close()
  await once(server, "close")
}

it("a port is given once, and not while something listens there, which leaves no claim", async () => {
  expect(await claimPort(port, claims)).toBe(false)
  expect(fs.readdirSync(claims)).toEqual([])
  await stopListening()
  expect(await claimPort(port, claims)).toBe(true)
  expect(await claimPort(port, claims)).toBe(false)
  expect(fs.readdirSync(claims)).toEqual([String(port)])
})

it.each(["4999999 1 ended", "4999999", ""])("a claim that a process has left holds no port: %j", async (left) => {
  fs.writeFileSync(path.join(claims, String(port)), left)
  await stopListening()
  expect(await claimPort(port, claims)).toBe(true)
})
