import * as net from "node:net"
import * as tls from "node:tls"
import { systemClock } from "@logbrook/core/Clock"
import { afterEach, expect, it, vi } from "vitest"
import { temporaryDirectory } from "../../../../core/test/support/temporary.ts"
import { Handshakes } from "../../../src/net/tls/Handshakes.ts"
import { credentialsOf, TestAuthority, writeTls } from "../../support/certificates.ts"

afterEach(() => vi.restoreAllMocks())

it("sixteen handshakes begin in a turn of the event loop, in the order of coming, and none of a client that has gone", () => {
  const authority = new TestAuthority()
  const turns: Array<() => void> = []
  const clock = { ...systemClock, nextTurn: (task: () => void) => void turns.push(task) }
  const handshakes = new Handshakes(credentialsOf(writeTls(temporaryDirectory(), authority, authority.server())), clock)
  const begun: Array<unknown> = []
  vi.spyOn(tls.Server.prototype, "emit").mockImplementation((event: string | symbol, ...rest: Array<unknown>) => {
    if (event === "connection") begun.push(rest[0])
    return true
  })
  const sockets = Array.from({ length: 40 }, () => new net.Socket())
  for (const socket of sockets) handshakes.begin(socket, () => undefined)
  expect(begun).toEqual(sockets.slice(0, 16))
  sockets[20]!.destroy()
  const turn = (): void => {
    for (const task of turns.splice(0)) task()
  }
  turn()
  expect(begun).toHaveLength(32)
  turn()
  expect(begun.map((socket) => sockets.indexOf(socket as net.Socket))).toEqual(
    Array.from(sockets.keys()).filter((index) => index !== 20)
  )
  handshakes.stop()
})
