import type { ConnectionEnd } from "@logbrook/actors/session/SessionProtocol"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { connected, type Kit, publishPacket, RawClient, type RawConnect, startKit } from "./kit.ts"
import { newestEvents } from "../support/newestEvents.ts"

let kit: Kit

beforeAll(async () => {
  kit = await startKit({ limits: { frameStallMs: 1000 } })
})

afterAll(() => kit.stop())

interface Ended {
  readonly type: string
  readonly event: { readonly end?: ConnectionEnd; readonly cause?: string; readonly by?: string }
  readonly cause: { readonly origin?: string }
}

/** What the journal says of this client, the newest last. */
const journaled = async (clientId: string): Promise<ReadonlyArray<Ended>> => {
  await kit.seq()
  return newestEvents(kit, { actor: `session/${clientId}` }) as unknown as ReadonlyArray<Ended>
}

const ofType = async (clientId: string, type: string): Promise<Ended> => {
  const find = async () => (await journaled(clientId)).find((event) => event.type === type)
  await expect.poll(find).toBeDefined()
  return (await find())!
}

interface Way {
  readonly name: string
  readonly connect?: RawConnect
  readonly end: (client: RawClient) => unknown
  readonly is: ConnectionEnd
  readonly origin: string
  readonly log: object
}

const protocolEnd = (reasonCode: number, reason: string) => ({ by: "protocol", reasonCode, reason }) as const

const ways: ReadonlyArray<Way> = [
  {
    name: "clean",
    end: (client) => client.send([0xe0, 0]),
    is: { by: "client", reasonCode: 0 },
    origin: "DISCONNECT 0x00",
    log: { by: "client", code: "0x00" }
  },
  {
    name: "clean-3",
    connect: { version: 4 },
    end: (client) => client.send([0xe0, 0]),
    is: { by: "client", reasonCode: 0 },
    origin: "DISCONNECT 0x00",
    log: { by: "client", code: "0x00" }
  },
  {
    name: "with-will",
    end: (client) => client.send([0xe0, 6, 4, 4, 0x1f, 0, 1, 0x78]),
    is: { by: "client", reasonCode: 4, reason: "x" },
    origin: "DISCONNECT 0x04",
    log: { by: "client", code: "0x04", reason: "x" }
  },
  {
    name: "fin",
    end: (client) => client.socket.end(),
    is: { by: "socket", error: "FIN" },
    origin: "socket FIN",
    log: { by: "socket", error: "FIN" }
  },
  {
    name: "rst",
    end: (client) => client.socket.resetAndDestroy(),
    is: { by: "socket", error: "ECONNRESET" },
    origin: "socket ECONNRESET",
    log: { by: "socket", error: "ECONNRESET" }
  },
  {
    name: "keep-alive",
    connect: { keepAliveSeconds: 1 },
    end: () => undefined,
    is: { by: "keep alive", keepAliveMs: 1000 },
    origin: "keep alive timeout",
    log: { by: "keep alive", keepAliveMs: 1000 }
  },
  {
    name: "wildcard",
    end: (client) => client.send(publishPacket("a/#", "")),
    is: protocolEnd(0x90, "a topic name has no wildcard"),
    origin: "protocol 0x90",
    log: { by: "protocol", code: "0x90" }
  },
  {
    name: "bad-flags",
    end: (client) => client.send([0xf7, 0]),
    is: protocolEnd(0x81, "invalid flags"),
    origin: "protocol 0x81",
    log: { by: "protocol", code: "0x81" }
  },
  {
    name: "too-large",
    end: (client) => client.send([0x30, 0xff, 0xff, 0xff, 1]),
    is: protocolEnd(0x95, "too large"),
    origin: "protocol 0x95",
    log: { by: "protocol", code: "0x95" }
  },
  {
    name: "stall",
    end: (client) => client.send([0x30, 9]),
    is: { by: "frame stall" },
    origin: "frame stall",
    log: { by: "frame stall" }
  },
  {
    name: "kick",
    end: () => kit.mqtt.kick("end-kick", "by an operator"),
    is: { by: "kick" },
    origin: "",
    log: { by: "kick" }
  }
]

describe("the end of a connection is told as what it was", () => {
  it.each(ways)("$name", async ({ name, connect, end, is, origin, log }) => {
    const clientId = `end-${name}`
    const client = await connected(kit.port, { ...connect, clientId })
    end(client)
    const { event, cause } = await ofType(clientId, "SessionDisconnected")
    const { reason } = is as { readonly reason?: string }
    expect(event.end).toEqual({ ...is, ...(reason !== undefined && { reason: expect.any(String) as string }) })
    expect(cause.origin).toBe(name === "kick" ? "by an operator" : `mqtt ${clientId}@127.0.0.1 ${origin}`)
    expect((await ofType(clientId, "SessionEnded")).event.cause).toBe("ConnectionClosed")
    const lines = kit.lines.filter(({ fields }) => fields["client"] === clientId)
    expect(lines).toEqual([
      { message: "mqtt: connection ended", fields: expect.objectContaining({ address: "127.0.0.1", ...log }) as object }
    ])
    client.socket.destroy()
  })

  it("a takeover", async () => {
    const old = await connected(kit.port, { clientId: "end-takeover" })
    const { id } = [...kit.mqtt.connections()].find(({ clientId }) => clientId === "end-takeover")!
    const next = await connected(kit.port, { clientId: "end-takeover" })
    const { event, cause } = await ofType("end-takeover", "SessionTakenOver")
    expect(event.by).not.toBe(id)
    expect(cause.origin).toContain("CONNECT")
    expect((await ofType("end-takeover", "SessionEnded")).event.cause).toBe("ConnectionClosed")
    const lines = kit.lines.filter(({ fields }) => fields["client"] === "end-takeover")
    expect(lines.map(({ fields }) => fields["by"])).toEqual(["takeover"])
    old.socket.destroy()
    next.socket.destroy()
  })

  it("a stop of the server", async () => {
    const own = await startKit()
    const client = await connected(own.port, { clientId: "end-stop" })
    await own.stop()
    client.socket.destroy()
    const events = newestEvents(own, { actor: "session/end-stop" })
    expect(events.map(({ event }) => (event as unknown as Ended["event"]).end).filter(Boolean)).toEqual([
      { by: "server stop" }
    ])
  })
})

it("connections that are refused are 20 lines a second at most, and a count of the others", async () => {
  // One second that does not end.
  const own = await startKit({ clock: { ...systemClock, monotonicMs: () => 500 } })
  const flood = Array.from({ length: 50 }, () => new RawClient(own.port).send([0xc0, 0]))
  for (const client of flood) expect(await client.rest()).toHaveLength(0)
  const refused = own.audit.filter(({ message }) => message === "mqtt: connection refused")
  expect(refused).toHaveLength(20)
  await own.stop()
  expect(own.audit.filter((line) => !refused.includes(line))).toEqual([
    { message: "mqtt: more connections were refused, or ended for a fault, than were logged", fields: { count: 30 } }
  ])
})
