import type { SessionState } from "@logbrook/actors/session/sessionState"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { newestState } from "../../../core/test/support/newestState.ts"
import { factsOf } from "../../src/mqtt/SessionFacts.ts"
import { connected, publishPacket, type RawClient, type RawConnect, subscribePacket } from "../mqtt/kit.ts"
import { newestEvents } from "../support/newestEvents.ts"
import { type MqttHttp, startMqttHttp } from "./mqttKit.ts"

/** An hour. */
const durable: RawConnect = { properties: [17, 0, 0, 14, 16], flags: 0 }
/** All that a client id may have which a path, a terminal or an object takes for something else. */
const hostile = "ev/il %2F?x=<b>&\u202Eid"

let http: MqttHttp
const clients: Array<RawClient> = []

beforeEach(async () => {
  http = await startMqttHttp()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy()
  await http.stop()
})

const connect = async (clientId: string, options: RawConnect = {}): Promise<RawClient> => {
  const client = await connected(http.kit.port, { ...options, clientId })
  clients.push(client)
  return client
}

const leave = async (client: RawClient, clientId: string): Promise<void> => {
  client.send([0xe0, 0])
  await client.rest()
  await expect.poll(() => http.kit.mqtt.directory.get(clientId)?.facts.isConnected).not.toBe(true)
}

const ids = async (query: string): Promise<ReadonlyArray<string>> =>
  (await http.call(`/api/v1/sessions?${query}`)).body.data.map(({ clientId }: { clientId: string }) => clientId)

const cli = (...words: ReadonlyArray<string>) => http.cli(words)

describe("sessions over HTTP", () => {
  it("have pages that miss none and double none, whatever is connected meanwhile", async () => {
    const connectedIds = ["b", "__proto__", hostile, "a", "c", "constructor", "\u00e9", "a/b"]
    for (const id of connectedIds) await connect(id)
    const sorted = connectedIds.toSorted()
    for (const limit of [1, 3, 8, 1000]) {
      const found = (await http.pages("/api/v1/sessions", limit)) as ReadonlyArray<{ clientId: string }>
      expect(found.map(({ clientId }) => clientId)).toEqual(sorted)
    }
    const first = await http.call("/api/v1/sessions?limit=2")
    const { cursor } = first.body.meta
    await leave(clients.at(-1)!, "a/b")
    await connect("0-new")
    expect(await ids(`cursor=${encodeURIComponent(cursor)}`)).toEqual(
      sorted.filter((id) => id > cursor && id !== "a/b")
    )
  })

  it("are selected by their state and by a part of their client ids", async () => {
    await connect("sensor-1")
    await leave(await connect("sensor-2", durable), "sensor-2")
    await connect("other")
    expect(await ids("contains=sensor")).toEqual(["sensor-1", "sensor-2"])
    expect(await ids("state=connected")).toEqual(["other", "sensor-1"])
    expect(await ids("contains=sensor&state=disconnected")).toEqual(["sensor-2"])
    expect(await ids("contains=.*")).toEqual([])
  })

  it.each([
    ["/api/v1/sessions?limit=0", "GET", 400, "BAD_REQUEST"],
    ["/api/v1/sessions?limit=1001", "GET", 400, "BAD_REQUEST"],
    ["/api/v1/sessions?state=asleep", "GET", 400, "BAD_REQUEST"],
    ["/api/v1/sessions/nobody", "GET", 404, "UNKNOWN_SESSION"],
    ["/api/v1/sessions/__proto__", "GET", 404, "UNKNOWN_SESSION"],
    ["/api/v1/sessions/nobody", "DELETE", 404, "UNKNOWN_SESSION"],
    ["/api/v1/sessions/nobody/connection", "DELETE", 404, "UNKNOWN_SESSION"],
    ["/api/v1/sessions/nobody/connection", "GET", 405, "METHOD_NOT_ALLOWED"]
  ])("answers %s %s with %i %s", async (path, method, status, code) => {
    expect(await http.call(path, method)).toMatchObject({ status, body: { code } })
  })

  it("tell queue, subscriptions and will, as a fold of what is durable", async () => {
    const facts = (id: string) => http.kit.mqtt.directory.get(id)!.facts
    const state = (id: string) => newestState<SessionState>(http.kit.shard.actors, `session/${id}`)!
    const willed = { ...durable, flags: 0x04, rest: [0, 0, 4, ...Buffer.from("/bye"), 0, 1, 0x78] }
    const reader = await connect("reader", willed)
    // With No Local, and Retain Handling 1.
    reader.send(subscribePacket(1, [["q/#", 1 | 4 | 16]]))
    await reader.packet()
    const writer = await connect("writer")
    for (const packetId of [1, 2]) {
      writer.send(publishPacket("q/a", "x", { qos: 1, packetId }))
      await writer.packet()
    }
    await reader.packet()
    await reader.packet()
    await expect.poll(() => facts("reader").unacknowledged).toBe(2)
    expect(facts("reader")).toEqual(factsOf(state("reader")))
    reader.send([0x40, 2, 0, 1])
    await expect.poll(() => facts("reader").queued).toBe(1)
    const { body } = await http.call("/api/v1/sessions/reader")
    expect(body).toMatchObject({
      clientId: "reader",
      state: "connected",
      protocolVersion: 5,
      address: "127.0.0.1",
      sessionExpiryMs: 3_600_000,
      expiresAt: null,
      willTopic: "/bye",
      queued: 1,
      unacknowledged: 1,
      dropped: 0,
      filters: [
        { filter: "q/#", qos: 1, noLocal: true, retainAsPublished: false, retainHandling: 1, subscriptionId: null }
      ]
    })
    await leave(reader, "reader")
    writer.send(publishPacket("q/a", "y", { qos: 1, packetId: 3 }))
    await writer.packet()
    const left = (await http.call("/api/v1/sessions/reader")).body
    expect(left).toMatchObject({ state: "disconnected", address: null, keepAliveMs: null, willTopic: null, queued: 2 })
    expect(Date.parse(left.expiresAt) - Date.parse(left.since)).toBe(3_600_000)
    expect(facts("reader")).toEqual(factsOf(state("reader")))
  })

  it("are kicked with 0x98 and stay, or are forgotten; the journal says by whom", async () => {
    const client = await connect(hostile, durable)
    client.send(subscribePacket(1, [["a", 1]]))
    await client.packet()
    const path = `/api/v1/sessions/${encodeURIComponent(hostile)}`
    const kicked = await http.call(`${path}/connection`, "DELETE")
    expect(kicked).toEqual({ status: 200, body: { wasConnected: true, sessionEnded: false } })
    const end = await client.rest()
    expect([end[0], end[2]]).toEqual([0xe0, 0x98])
    expect((await http.call(path)).body).toMatchObject({ state: "disconnected", subscriptions: 1 })
    const again = await http.call(`${path}/connection`, "DELETE")
    expect(again.body).toEqual({ wasConnected: false, sessionEnded: false })
    expect((await http.call(path, "DELETE")).body).toEqual({ wasConnected: false, sessionEnded: true })
    expect((await http.call(path)).status).toBe(404)
    const events = newestEvents(http.kit, { actor: `session/${hostile}` })
    const by = (wanted: string) => events.find(({ type }) => type === wanted)
    expect(by("SessionDisconnected")).toMatchObject({
      event: { end: { by: "kick" }, cause: "Kicked" },
      cause: { origin: "http DELETE /sessions/connection by anonymous@127.0.0.1" }
    })
    expect(by("SessionEnded")).toMatchObject({
      event: { cause: "Kicked" },
      cause: { origin: "http DELETE /sessions by anonymous@127.0.0.1" }
    })
  })
})

it("what sessions tell is durable, while a commit is held and once it is there", async () => {
  const journal = new HeldJournal()
  await http.stop()
  http = await startMqttHttp({ journal, limits: { commitPacingMs: 0 } })
  await connect("kept", durable)
  journal.hold()
  const kick = http.call("/api/v1/sessions/kept", "DELETE")
  await expect.poll(() => journal.undurable).toBe(1)
  expect((await http.call("/api/v1/sessions/kept")).body).toMatchObject({ state: "connected" })
  journal.release()
  expect((await kick).body).toEqual({ wasConnected: true, sessionEnded: true })
  expect((await http.call("/api/v1/sessions")).body.data).toEqual([])
})

describe("logbrook sessions", () => {
  it("list and describe show client ids as text", async () => {
    const client = await connect(hostile, durable)
    client.send(subscribePacket(1, [["a/\u202E", 0]]))
    await client.packet()
    const { code, out } = await cli("sessions", "list")
    expect(code).toBe(0)
    expect(out[0]!.split("\t").slice(0, 2)).toEqual(["CLIENT", "STATE"])
    const cells = out[1]!.split("\t")
    expect(cells[0]).toBe("ev/il %2F?x=<b>&\\u202eid")
    expect(cells.slice(3)).toEqual(["5.0", "127.0.0.1", "-", "1", "0", "0"])
    const shown = (await cli("sessions", "describe", hostile)).out.join("\n")
    expect(shown).toContain("expires     1h after its connection")
    expect(shown).toContain("a/\\u202e\t0\tno\tno\t0\t-")
    const document = JSON.parse((await cli("sessions", "describe", hostile, "--json")).out[0]!)
    expect(document).toMatchObject({ clientId: hostile, subscriptions: 1 })
    expect(JSON.parse((await cli("sessions", "list", "--json", "--contains", "nobody")).out[0]!)).toEqual([])
  })

  it("shortens ids that nobody reads, on a terminal alone", async () => {
    const id = "6f1c2d3e-0000-4000-8000-123456789abc"
    await connect(id)
    const terminal = await http.cli(["sessions", "list"], true)
    expect(terminal.out[1]).toMatch(/^6f1c2d3e… {2}connected {2}\d{4}-\d\d-\d\d \d\d:/)
    expect((await cli("sessions", "list")).out[1]).toContain(id)
  })

  it("kick ends the connection, and with --forget and --yes the session", async () => {
    const client = await connect("device", durable)
    expect((await cli("sessions", "kick", "device")).out).toEqual([
      "device: the connection was ended, the session stays"
    ])
    expect((await client.rest())[2]).toBe(0x98)
    const unsure = await cli("sessions", "kick", "device", "--forget")
    expect(unsure).toMatchObject({ code: 2, err: [expect.stringContaining("E_CONFIRM"), expect.any(String)] })
    expect((await cli("sessions", "kick", "device", "--forget", "--yes")).out).toEqual([
      "device was not connected, the session is forgotten"
    ])
    const gone = await cli("sessions", "kick", "device", "--json")
    expect(gone).toMatchObject({ code: 3, out: [], err: [expect.stringContaining("E_UNKNOWN_SESSION")] })
  })

  it("refuses what it cannot ask for", async () => {
    expect(await cli("sessions", "list", "--state", "asleep")).toMatchObject({ code: 2 })
    expect(await cli("sessions", "describe", "..")).toMatchObject({ code: 2 })
    expect(await cli("sessions", "describe", "nobody")).toMatchObject({ code: 3 })
  })
})
