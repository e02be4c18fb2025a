import type { Rule } from "@logbrook/core/access/Access"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { connected, publishPacket, type RawClient } from "../mqtt/kit.ts"
import { newestEvents } from "../support/newestEvents.ts"
import { type MqttHttp, startMqttHttp } from "./mqttKit.ts"

/** All that a topic may have which a path, a terminal or an object takes for something else. */
const hostile = "ev il/%2F?x=<b>&/\u202Eid"

let http: MqttHttp
let client: RawClient

const start = async (options: Parameters<typeof startMqttHttp>[0] = {}): Promise<void> => {
  http = await startMqttHttp(options)
  client = await connected(http.kit.port, { clientId: "publisher" })
}

const stop = async (): Promise<void> => {
  client.socket.destroy()
  await http.stop()
}

beforeEach(() => start())
afterEach(stop)

const retain = async (topic: string, payload: string | Uint8Array = "x", properties: ReadonlyArray<number> = []) => {
  client.send(publishPacket(topic, payload, { qos: 1, retain: true, properties }))
  await client.packet()
}

const topicsOf = (items: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  items.map((item) => (item as { readonly topic: string }).topic)

const retainedNow = async (filter = "#"): Promise<ReadonlyArray<string>> =>
  topicsOf(await http.pages(`/api/v1/retained?filter=${encodeURIComponent(filter)}`, 1000))

/** Nobody publishes to one topic. */
const readsOnly: Rule = (_principal, operation, resource) =>
  resource.type === "TopicName" && operation === "Write" && resource.name === "kept"
    ? { reason: "SystemTopicName", text: "kept is kept" }
    : undefined

const lose = async (topic: string): Promise<void> => {
  client.send(publishPacket(topic, "lost", { qos: 1 }))
  await client.packet()
}

const topicWith = (
  topic: string,
  streams: ReadonlyArray<string>,
  retainedBytes: number | null,
  unmatched: number | null
) => ({ topic, streams, retainedBytes, unmatched })

const cli = (...words: ReadonlyArray<string>) => http.cli(words)

describe("retained messages over HTTP", () => {
  it("have pages that miss none and double none, by a filter", async () => {
    const topics = ["b", "a/b", "a", hostile, "__proto__", "a//c", "/", "é"]
    for (const topic of topics) await retain(topic)
    for (const limit of [1, 3, 1000]) {
      expect(topicsOf(await http.pages("/api/v1/retained", limit))).toEqual(topics.toSorted())
    }
    expect(await retainedNow("a/#")).toEqual(["a", "a/b", "a//c"].toSorted())
    expect(await retainedNow("+")).toEqual(["__proto__", "a", "b", "é"])
    expect(await retainedNow("nothing")).toEqual([])
  })

  it("are told with their properties and payload", async () => {
    // Content type, and two user properties of the same name.
    const properties = [3, 0, 1, 0x74, 38, 0, 1, 0x6e, 0, 1, 0x31, 38, 0, 1, 0x6e, 0, 1, 0x32]
    await retain(hostile, new Uint8Array([0, 255]), properties)
    const { status, body } = await http.call(`/api/v1/retained/${encodeURIComponent(hostile)}`)
    expect(status).toBe(200)
    expect(body).toEqual({
      topic: hostile,
      bytes: 2,
      qos: 1,
      clientId: "publisher",
      receivedAt: expect.any(String),
      expiresAt: null,
      contentType: "t",
      responseTopic: null,
      correlationData: null,
      payloadFormat: null,
      userProperties: [
        ["n", "1"],
        ["n", "2"]
      ],
      payload: Buffer.from([0, 255]).toString("base64")
    })
  })

  it.each([
    ["/api/v1/retained?filter=a%23", "GET", 400, "INVALID_FILTER"],
    ["/api/v1/retained?filter=", "GET", 400, "INVALID_FILTER"],
    ["/api/v1/retained?filter=$share/g/a", "GET", 400, "INVALID_FILTER"],
    ["/api/v1/retained?limit=0", "GET", 400, "BAD_REQUEST"],
    ["/api/v1/retained", "DELETE", 400, "BAD_REQUEST"],
    ["/api/v1/retained?filter=a%23", "DELETE", 400, "INVALID_FILTER"],
    ["/api/v1/retained?filter=$SYS/%23", "DELETE", 403, "FORBIDDEN"],
    ["/api/v1/retained/nothing", "GET", 404, "UNKNOWN_RETAINED"],
    ["/api/v1/retained/__proto__", "GET", 404, "UNKNOWN_RETAINED"],
    ["/api/v1/topics?filter=a%23", "GET", 400, "INVALID_FILTER"],
    ["/api/v1/topics?limit=x", "GET", 400, "BAD_REQUEST"]
  ])("answers %s %s with %i %s", async (path, method, status, code) => {
    expect(await http.call(path, method)).toMatchObject({ status, body: { code } })
  })

  it("are purged page by page, and nothing else is; the journal says by whom", async () => {
    const topics = ["p/a", "p/b", "p/c", "p/d", "p/e"]
    for (const topic of [...topics, "q"]) await retain(topic)
    const first = await http.call("/api/v1/retained?filter=p/%23&limit=3", "DELETE")
    expect(first).toEqual({ status: 200, body: { purged: 3, meta: { cursor: "p/c", hasnext: true } } })
    // A purge that goes on behind the cursor leaves what comes before it.
    await retain("p/a", "again")
    const second = await http.call("/api/v1/retained?filter=p/%23&limit=3&cursor=p/c", "DELETE")
    expect(second.body).toEqual({ purged: 2, meta: { cursor: null, hasnext: false } })
    expect(await retainedNow()).toEqual(["p/a", "q"])
    const events = newestEvents(http.kit, { actor: "retained/p/e" })
    expect(events.at(-1)).toMatchObject({
      type: "RetainedCleared",
      event: { cause: "Removed" },
      cause: { origin: "http DELETE /retained by anonymous@127.0.0.1" }
    })
  })

  it("are purged where the one who asks may publish, and read where he may subscribe", async () => {
    await stop()
    await start({ authorizer: new Authorizer([readsOnly]) })
    expect((await http.call("/api/v1/retained?filter=kept")).status).toBe(200)
    const purge = await http.call("/api/v1/retained?filter=kept", "DELETE")
    expect(purge).toEqual({ status: 403, body: { code: "FORBIDDEN", message: "kept is kept" } })
  })

  it("are what is durable, while a commit is held and once it is there", async () => {
    await stop()
    const journal = new HeldJournal()
    await start({ journal, limits: { commitPacingMs: 0 } })
    await retain("a")
    journal.hold()
    const purge = http.call("/api/v1/retained?filter=a", "DELETE")
    await expect.poll(() => journal.undurable).toBe(1)
    expect(await retainedNow()).toEqual(["a"])
    journal.release()
    expect((await purge).body.purged).toBe(1)
    expect(await retainedNow()).toEqual([])
  })
})

it("topics are told with what is retained, which streams store them, and what goes nowhere", async () => {
  await http.kit.bind("sensors", ["s/#", "t"])
  await http.kit.bind("all", ["s/+"])
  await retain("s/1", "four")
  for (let i = 0; i < 3; i++) await lose(hostile)
  const wanted = [
    topicWith(hostile, [], null, 3),
    topicWith("s/#", ["sensors"], null, null),
    topicWith("s/+", ["all"], null, null),
    topicWith("s/1", ["all", "sensors"], 4, null),
    topicWith("t", ["sensors"], null, null)
  ]
  for (const limit of [1, 2, 100]) expect(await http.pages("/api/v1/topics", limit)).toEqual(wanted)
  expect(topicsOf(await http.pages("/api/v1/topics?filter=s/%2B", 9))).toEqual(["s/#", "s/+", "s/1"])
})

describe("logbrook retained", () => {
  it("list and get show topics and payloads as text", async () => {
    await retain(hostile, "two\nlines \u001b[2J")
    await retain("bytes", new Uint8Array([0, 255]))
    const { out } = await cli("retained", "list")
    expect(out[0]!.split("\t")).toEqual(["TOPIC", "BYTES", "QOS", "CLIENT", "RECEIVED", "EXPIRES"])
    expect(out[2]!.split("\t").slice(0, 4)).toEqual(["ev il/%2F?x=<b>&/\\u202eid", "14", "1", "publisher"])
    const shown = (await cli("retained", "get", hostile)).out
    expect(shown.slice(-2)).toEqual(["two", "lines \\x1b[2J"])
    expect((await cli("retained", "get", "bytes")).out.at(-1)).toBe("hex 00ff")
    expect(JSON.parse((await cli("retained", "get", "bytes", "--json")).out[0]!)).toMatchObject({ payload: "AP8=" })
    expect(await cli("retained", "get", "nothing")).toMatchObject({ code: 3, out: [] })
  })

  it("purge needs --yes where nobody can be asked, goes over all pages, and tells how many", async () => {
    for (const topic of ["p/a", "p/b", "q"]) await retain(topic)
    expect(await cli("retained", "purge", "p/#")).toMatchObject({ code: 2, out: [] })
    expect(await retainedNow()).toHaveLength(3)
    expect((await cli("retained", "purge", "p/#", "--yes")).out).toEqual(["p/#: removed 2 retained messages"])
    expect(JSON.parse((await cli("retained", "purge", "p/#", "--yes", "--json")).out[0]!)).toEqual({
      filter: "p/#",
      purged: 0
    })
    expect(await cli("retained", "purge", "p#", "--yes")).toMatchObject({ code: 2, out: [] })
    expect(await retainedNow()).toEqual(["q"])
  })
})

describe("logbrook topics tree", () => {
  it("draws levels on a terminal, and is lines elsewhere", async () => {
    await http.kit.bind("sensors", ["s/#"])
    await retain("s/1", "four")
    await lose("x//\u202Ey")
    const terminal = await http.cli(["topics", "tree"], true)
    expect(terminal.out).toEqual([
      "├─ s",
      "│  ├─ #  stream sensors",
      "│  └─ 1  stream sensors, retained 4 B",
      "└─ x",
      '   └─ ""',
      "      └─ \\u202ey  1 message went nowhere"
    ])
    expect((await cli("topics", "tree", "s/#")).out).toEqual([
      "TOPIC\tSTREAMS\tRETAINED\tWENT NOWHERE",
      "s/#\tsensors\t-\t-",
      "s/1\tsensors\t4\t-"
    ])
  })

  it("stops at --limit and says so", async () => {
    for (const topic of ["a", "b", "c"]) await lose(topic)
    const { out, err } = await cli("topics", "tree", "--limit", "2", "--json")
    expect(topicsOf(JSON.parse(out[0]!))).toEqual(["a", "b"])
    expect(err).toEqual(["note: there are more: these are the first 2; --limit and FILTER select others"])
    expect((await cli("topics", "tree", "--limit", "3")).err).toEqual([])
  })
})
