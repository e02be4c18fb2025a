import { once } from "node:events"
import * as http from "node:http"
import * as net from "node:net"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import type { Journal } from "@logbrook/core/journal/Journal"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import type { Readiness } from "../../src/http/health.ts"
import { listenHttp } from "../../src/http/HttpServer.ts"
import { makeMqttBroker } from "../../src/mqtt/MqttBroker.ts"
import { defaultMqttOptions } from "../../src/mqtt/MqttOptions.ts"
import { forgetDeletedStreams } from "../../src/streams/forgetDeletedStreams.ts"
import { RetentionClock } from "../../src/RetentionClock.ts"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import { localListener } from "../support/listener.ts"
import { acquired } from "../support/parts.ts"
import { ShardHarness } from "../tools/ShardHarness.ts"

/** The ids of the first events of a live view, which is left then. */
const idsOf = async (response: Response, count: number): Promise<ReadonlyArray<number>> => {
  let text = ""
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part
    const ids = Array.from(text.matchAll(/^id: (\d+)$/gm), (found) => Number(found[1]))
    if (ids.length >= count) return ids
  }
  return []
}

const damaged: Journal["scan"] = () => {
  throw new JournalError("Corrupt", "a frame fails its checksum")
}

describe("HTTP", () => {
  const journal = new MemoryJournal(systemClock)
  const harness = new ShardHarness(journal)
  const readiness: Readiness = { isDraining: false }
  const { broker, disk } = harness
  forgetDeletedStreams(broker)
  const mqtt = makeMqttBroker(broker, defaultMqttOptions)
  const { unmatched } = mqtt
  const machine = new TestClock()
  const retentionClock = new RetentionClock(machine, defaultLimits, { lastTimeMs: undefined, heldAtMs: undefined })
  const settings = [{ path: "mqtt.port", value: 1884, origin: "logbrook.yaml:3" }]
  const parts = {
    readiness,
    mqtt,
    retentionClock,
    config: { settings, sinceMs: 1_800_000_000_000 }
  }
  let base = ""
  let port: number
  let stop: () => Promise<void>

  beforeAll(async () => {
    const { made, close } = await acquired(listenHttp(broker, { ...parts, journal }, [localListener("http")]))
    port = made[0]!.port
    base = `http://127.0.0.1:${port}`
    stop = close
  })
  afterAll(() => stop())

  const call = (path: string, method = "GET", body?: unknown) =>
    send(path, method, body === undefined ? undefined : JSON.stringify(body))
  const post = (body: string) => send("/api/v1/streams", "POST", body)
  const send = async (path: string, method: string, body: string | undefined) => {
    const init = body === undefined ? {} : { headers: { "content-type": "application/json" }, body }
    const response = await fetch(base + path, { method, ...init })
    const text = await response.text()
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text }
  }

  it("shows the hundred topics that most often go nowhere", async () => {
    for (let i = 0; i < 120; i++) for (let n = 0; n <= i % 7; n++) unmatched.add(`typo/${i}`)
    for (let n = 0; n < 9; n++) unmatched.add("sensor/a")
    const { status, body } = await call("/api/v1/mqtt/unmatched-topics")
    expect(status).toBe(200)
    expect(body).toMatchObject({ total: unmatched.total, countErrorMax: 0, meta: { cursor: null, hasnext: false } })
    expect(body.data).toHaveLength(100)
    expect(body.data.slice(0, 2)).toEqual([
      { topic: "sensor/a", count: 9 },
      { topic: "typo/6", count: 7 }
    ])
  })

  const warningsAt = async (path: string) => (await fetch(base + path)).headers.get("logbrook-warnings")

  /** With headers that `fetch` does not send. */
  const statusFor = (path: string, headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve) => {
      http.get(`${base}${path}`, { headers }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
    })

  it("creates, shows, alters, lists and deletes streams", async () => {
    const created = await call("/api/v1/streams", "POST", { name: "sensors", filters: ["sensors/#"], partitions: 4 })
    expect(created).toMatchObject({
      status: 201,
      body: { kind: "bound", partitions: 4, key: "clientid", retentionMs: 604_800_000 }
    })
    await call("/api/v1/streams", "POST", { name: "free", config: { "retention.ms": "1000" } })
    expect(await call("/api/v1/streams/free")).toMatchObject({
      status: 200,
      body: { kind: "free", partitions: 1, retentionMs: 1000 }
    })
    const altered = await call("/api/v1/streams/sensors", "PATCH", {
      filters: ["s/#"],
      config: { "retention.bytes": "5" }
    })
    expect(altered).toMatchObject({ status: 200, body: { filters: ["s/#"], retentionBytes: 5 } })
    expect(altered.body).not.toHaveProperty("warnings")
    const grown = await call("/api/v1/streams/sensors", "PATCH", { partitions: 6 })
    expect(grown).toMatchObject({
      status: 200,
      body: { partitions: 6, retentionBytes: 5, partitionDetails: { length: 6 } }
    })
    expect(grown.body).toMatchObject({ warnings: [expect.stringContaining("most keys have another partition")] })
    for (const partitions of [6, 5, 0, 65]) {
      const refused = await call("/api/v1/streams/sensors", "PATCH", { partitions })
      expect(refused).toMatchObject({ status: 400, body: { code: "INVALID_PARTITIONS" } })
    }

    const first = await call("/api/v1/streams?limit=1")
    expect(first.body).toMatchObject({ data: [{ name: "free" }], meta: { cursor: "free", hasnext: true } })
    const second = await call("/api/v1/streams?limit=1&cursor=free")
    expect(second.body).toMatchObject({ data: [{ name: "sensors" }], meta: { cursor: null, hasnext: false } })

    expect(await call("/api/v1/streams/free", "DELETE")).toMatchObject({ status: 200 })
    expect(await call("/api/v1/streams/free")).toMatchObject({ status: 404, body: { code: "UNKNOWN_STREAM" } })
  })

  it.each([
    ["/api/v1/streams", "POST", { name: "a/b" }, 400, "INVALID_STREAM_NAME"],
    ["/api/v1/streams", "POST", { name: "x", partitions: 65 }, 400, "INVALID_PARTITIONS"],
    ["/api/v1/streams", "POST", { name: "x", filters: ["a#"] }, 400, "INVALID_FILTER"],
    ["/api/v1/streams", "POST", { name: "x", key: "colour" }, 400, "INVALID_KEY"],
    ["/api/v1/streams", "POST", { name: "x", config: { colour: "red" } }, 400, "INVALID_CONFIG"],
    ["/api/v1/streams", "POST", { filters: [] }, 400, "BAD_REQUEST"],
    ["/api/v1/streams", "POST", { name: 5 }, 400, "BAD_REQUEST"],
    ["/api/v1/streams", "POST", { name: "sensors" }, 409, "STREAM_EXISTS"],
    ["/api/v1/streams?limit=0", "GET", undefined, 400, "BAD_REQUEST"],
    ["/api/v1/streams/nobody", "PATCH", { filters: ["a"] }, 404, "UNKNOWN_STREAM"],
    ["/api/v1/streams/__proto__", "GET", undefined, 404, "UNKNOWN_STREAM"],
    ["/api/v1/groups/nobody", "GET", undefined, 404, "UNKNOWN_GROUP"],
    ["/api/v1/journal/events/999999", "GET", undefined, 404, "UNKNOWN_EVENT"],
    ["/api/v1/journal/state?actor=sensors", "GET", undefined, 400, "INVALID_ACTOR"],
    ["/api/v1/journal/state?actor=group/x&at=soon", "GET", undefined, 400, "BAD_REQUEST"],
    ["/api/v1/journal/events?kind=nobody", "GET", undefined, 400, "INVALID_ACTOR"],
    ["/api/v1/journal/events?type=Nothing", "GET", undefined, 400, "INVALID_TYPE"],
    ["/api/v1/journal/events?actor=group/nobody", "GET", undefined, 404, "UNKNOWN_ACTOR"],
    ["/api/v1/journal/events?actor=group/nobody&last=5", "GET", undefined, 404, "UNKNOWN_ACTOR"],
    ["/api/v1/journal/events?cursor=999999", "GET", undefined, 404, "UNKNOWN_EVENT"],
    ["/api/v1/journal/tail?from=999999", "GET", undefined, 404, "UNKNOWN_EVENT"],
    ["/api/v1/journal/tail?type=Nothing", "GET", undefined, 400, "INVALID_TYPE"],
    ["/api/v1/journal/tail?kind=nobody", "GET", undefined, 400, "INVALID_ACTOR"],
    ["/api/v1/nothing", "GET", undefined, 404, "NOT_FOUND"],
    ["/nothing", "GET", undefined, 404, "NOT_FOUND"],
    ["/metrics", "DELETE", undefined, 405, "METHOD_NOT_ALLOWED"]
  ])("answers %s %s %j with %i %s", async (path, method, body, status, code) => {
    const reply = await call(path, method, body)
    expect(reply).toMatchObject({ status, body: { code } })
    expect(Object.keys(reply.body)).toEqual(["code", "message"])
  })

  it("makes no log for a stream that it only validates", async () => {
    const { shards } = broker
    const ids = () => shards.all.flatMap(({ logs }) => Array.from(logs.logs(), ({ id }) => id))
    const before = ids()
    const asked = { name: "validated", partitions: 3, validateOnly: true }
    const answer = await call("/api/v1/streams", "POST", asked)
    expect(answer).toMatchObject({ status: 201, body: { partitions: 3, records: 0 } })
    expect(answer.body.partitionDetails).toHaveLength(3)
    expect(ids()).toEqual(before)
    expect(broker.directory.byName("validated")).toBe(undefined)
  })

  it("answers 405 to methods that a path does not have, and names those that it has", async () => {
    const allowed = async (path: string, method: string) => {
      const response = await fetch(base + path, { method })
      expect(response.status).toBe(405)
      return response.headers.get("allow")
    }
    expect(await allowed("/api/v1/streams", "OPTIONS")).toBe("GET, HEAD, POST")
    expect(await allowed("/api/v1/streams/x", "PUT")).toBe("GET, HEAD, PATCH, DELETE")
    expect(await allowed("/api/v1/journal/tail", "HEAD")).toBe("GET")
    expect(await allowed("/healthz", "POST")).toBe("GET, HEAD")
    for (const path of ["/api/v1/none", "/api/v1/streams/", "/api/v1/streams/a/b"]) {
      for (const method of ["GET", "PUT"]) expect((await call(path, method)).status).toBe(404)
    }
    expect((await fetch(`${base}/api/v1/streams`, { method: "HEAD" })).status).toBe(200)
  })

  it("names the field that is wrong, and says what it wants", async () => {
    const { body } = await call("/api/v1/streams", "POST", { name: "x", partitions: "many" })
    expect(body.message).toBe('partitions: Expected number, actual "many"')
    const misspelled = await call("/api/v1/streams", "POST", { name: "misspelled", filter: ["x/#"] })
    expect(misspelled).toMatchObject({ status: 400, body: { message: expect.stringContaining("filter: ") } })
    expect(broker.directory.byName("misspelled")).toBe(undefined)
    expect((await call("/api/v1/streams/sensors", "PATCH", { retention: "7d" })).status).toBe(400)
  })

  it("takes JSON only, one MiB of it, and on loopback no foreign name", async () => {
    const url = `${base}/api/v1/streams`
    expect((await fetch(url, { method: "POST", body: '{"name":"x"}' })).status).toBe(415)
    const headers = { "content-type": "application/json" }
    expect((await fetch(url, { method: "POST", headers, body: "{" })).status).toBe(400)
    expect((await fetch(url, { method: "POST", headers, body: " ".repeat(1024 * 1024 + 1) })).status).toBe(413)
    for (const host of ["evil.example.org", "localhost.example.org", "127.0.0.1.example.org:80"]) {
      expect(await statusFor("/api/v1/streams", { host })).toBe(403)
    }
    for (const host of ["LOCALHOST:18083", "localhost.", "127.0.0.1", "[::1]:1"])
      expect(await statusFor("/api/v1/streams", { host })).toBe(200)
    const socket = net.connect(port, "127.0.0.1", () => socket.write("GET /healthz HTTP/1.0\r\n\r\n"))
    const [head] = await once(socket, "data")
    expect(String(head)).toMatch(/^HTTP\/1.1 200 OK/)
    socket.destroy()
  })

  it("answers 413 while the client still sends, and the answer arrives", async () => {
    const socket = net.connect(port, "127.0.0.1")
    socket.pause()
    const bytes = 40 * 256 * 1024
    socket.write(
      `POST /api/v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`
    )
    for (let i = 0; i < 40; i++) {
      socket.write(Buffer.alloc(256 * 1024, 0x20))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    socket.end()
    const received: Array<Buffer> = []
    socket.on("data", (chunk) => received.push(chunk as Buffer)).resume()
    await once(socket, "close")
    expect(Buffer.concat(received).toString()).toMatch(/^HTTP\/1.1 413 /)
  })

  it("says nothing in the log of a client that goes before its body is whole", async () => {
    const failed = vi.spyOn(broker.log, "error")
    const arrived = new Promise<net.Socket>((resolve) => {
      const request = http.request(`${base}/api/v1/streams`, {
        method: "POST",
        headers: { "content-type": "application/json", "content-length": 100, expect: "100-continue" }
      })
      // The server has read the head, and waits for the body.
      request.on("continue", () => resolve(request.socket!)).on("error", () => undefined)
      request.flushHeaders()
    })
    const socket = await arrived
    socket.destroy()
    await once(socket, "close")
    // The server reads of the end of the first connection before it answers all of these.
    for (let i = 0; i < 20; i++) expect(await statusFor("/healthz", { connection: "close" })).toBe(200)
    expect(failed).not.toHaveBeenCalled()
    failed.mockRestore()
  })

  it("answers 400 to a body that nests without end, and 404 to a path that is no text", async () => {
    const levels = 200_000
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"]
    ] as const) {
      const nested = `${open.repeat(levels)}1${close.repeat(levels)}`.slice(0, 1024 * 1024)
      const wanted = { status: 400, body: { code: "BAD_REQUEST", message: "the body nests more than 32 levels" } }
      for (const body of [nested, `{"name":"deep","config":${nested.slice(0, 900_000)}}`]) {
        expect(await post(body)).toEqual(wanted)
      }
    }
    const brackets = await post(JSON.stringify({ name: "brackets", key: '[[{"\\'.repeat(50) }))
    expect(brackets).toMatchObject({ status: 400, body: { code: "INVALID_KEY" } })
    for (const path of ["/api/v1/streams/%ff%fe", "/api/v1/groups/%ff", "/%c3%28"]) {
      const reply = await call(path)
      expect(reply).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } })
      expect(Object.keys(reply.body)).toEqual(["code", "message"])
    }
  })

  it("answers at its root with links that lead somewhere, for browsers and for programs", async () => {
    const page = await fetch(base, { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } })
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8")
    const linked = Array.from((await page.text()).matchAll(/href="([^"]+)"/g), ([, path]) => path!)
    const { status, body } = await call("/")
    expect({ status, links: Object.keys(body.links) }).toEqual({ status: 200, links: linked })
    expect(linked.length).toBeGreaterThan(5)
    for (const path of linked) expect([path, (await fetch(base + path)).status]).toEqual([path, 200])
  })

  it("tells where a body is no JSON", async () => {
    const { status, body } = await post('{\n  "name": "x",\n  oops\n}')
    expect({ status, code: body.code }).toEqual({ status: 400, code: "BAD_REQUEST" })
    expect(body.message).toMatch(/^the body is no JSON: .*(position 18|line 3)/)
  })

  it("tells no retention of a stream that is only compacted, and the key that a free one's records have", async () => {
    const [onlyCompacted, both] = ["compact", "compact,delete"].map((policy) => ({ "cleanup.policy": policy }))
    const limits = { "retention.ms": "5000", "retention.bytes": "7000" }
    const cases = [
      [{ config: onlyCompacted }, { retentionMs: -1, retentionBytes: -1, key: "none" }],
      [{ config: { ...onlyCompacted, ...limits } }, { retentionMs: -1, retentionBytes: -1, key: "none" }],
      [{ config: { ...both, ...limits } }, { retentionMs: 5000, retentionBytes: 7000, key: "none" }],
      [{ key: "clientid" }, { retentionMs: 604_800_000, retentionBytes: -1, key: "none" }],
      [
        { filters: ["told/#"], config: onlyCompacted },
        { retentionMs: -1, retentionBytes: -1, key: "topic" }
      ]
    ] as const
    for (const [body, told] of cases) {
      expect((await call("/api/v1/streams", "POST", { name: "told", ...body })).body).toMatchObject(told)
      await call("/api/v1/streams/told", "DELETE")
    }
  })

  it("says that another stream has the same filter, to who creates or alters one", async () => {
    await call("/api/v1/streams", "POST", { name: "first", filters: ["same/#", "own/#"] })
    const second = await call("/api/v1/streams", "POST", { name: "second", filters: ["same/#", "other/#"] })
    const warning = "the stream first has the filter same/#, too: both store each message that matches it"
    expect(second).toMatchObject({ status: 201, body: { warnings: [warning] } })
    expect((await call("/api/v1/streams/second")).body).not.toHaveProperty("warnings")
    const apart = await call("/api/v1/streams/second", "PATCH", { filters: ["other/#"] })
    expect(apart.body).not.toHaveProperty("warnings")
    const again = await call("/api/v1/streams/second", "PATCH", { filters: ["same/#"] })
    expect(again.body).toMatchObject({ warnings: [warning] })
    // Nobody is warned again of what is there already.
    for (const change of [{ config: { "retention.ms": "1000" } }, { filters: ["same/#", "third/#"] }]) {
      expect((await call("/api/v1/streams/second", "PATCH", change)).body).not.toHaveProperty("warnings")
    }
    for (const name of ["first", "second"]) await call(`/api/v1/streams/${name}`, "DELETE")
  })

  it("tells its settings, their origins, and since when it has them", async () => {
    expect((await call("/api/v1/config")).body).toEqual({ since: "2027-01-15T08:00:00.000Z", settings })
  })

  it("says when retention does not believe the clock, and lets an operator believe it", async () => {
    const cluster = async () => (await call("/api/v1/cluster")).body.retentionClock
    expect(await cluster()).toEqual({ isHeld: false, aheadMs: 0 })
    machine.setForthMs = 86_400_000
    retentionClock.look()
    expect(await cluster()).toEqual({ isHeld: true, aheadMs: 86_400_000 })
    expect((await call("/api/v1/cluster/trust-clock", "POST", {})).body).toEqual({ wasHeld: true })
    expect(await cluster()).toEqual({ isHeld: false, aheadMs: 0 })
    expect((await call("/api/v1/cluster/trust-clock", "POST", {})).body).toEqual({ wasHeld: false })
  })

  it("answers no page of another site, whatever it asks for; a link may be followed", async () => {
    const noCors = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" }
    for (const path of ["/metrics", "/metrics?series=all", "/api/v1/streams", "/healthz"]) {
      expect(await statusFor(path, noCors)).toBe(403)
      for (const origin of ["https://evil.example.org", "null"]) expect(await statusFor(path, { origin })).toBe(403)
      for (const site of ["same-origin", "same-site", "none"]) {
        expect(await statusFor(path, { "sec-fetch-site": site })).toBe(200)
      }
      for (const origin of [base, "http://localhost:3000"]) expect(await statusFor(path, { origin })).toBe(200)
    }
    const link = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }
    expect(await statusFor("/metrics", { ...link, "sec-fetch-dest": "document" })).toBe(200)
    expect(await statusFor("/metrics", { ...link, "sec-fetch-dest": "iframe" })).toBe(403)
    expect((await call("/metrics?series=some")).body).toMatchObject({ code: "BAD_REQUEST" })
  })

  it("takes what frees a full disk, creates nothing meanwhile, and says so with every answer, and what is large", async () => {
    const free = { name: "large", config: { "retention.ms": "604800000" } }
    const { body: large } = await call("/api/v1/streams", "POST", free)
    await harness.append(large.partitionDetails[0].logId, "x".repeat(3000))
    await call("/api/v1/streams", "POST", { name: "small" })
    expect(await warningsAt("/api/v1/streams")).toBe(null)

    disk.check()
    disk.isLow = true
    expect(await call("/readyz")).toMatchObject({ status: 503, body: { ready: false } })
    const wanted = { status: 503, body: { code: "DISK_LOW" } }
    expect(await call("/api/v1/streams", "POST", { name: "late" })).toMatchObject(wanted)
    expect(await call("/api/v1/streams/small", "PATCH", { partitions: 2 })).toMatchObject(wanted)
    for (const path of ["/api/v1/streams", "/api/v1/journal/events?last=1", "/api/v1/streams/nobody", "/api/v1/none"]) {
      const [text] = JSON.parse((await warningsAt(path))!) as [string]
      expect(text).toMatch(
        /^the disk is low, writes are refused: .+ are free, .+; logbrook streams alter NAME --retention/
      )
      expect(text).toMatch(/the largest: large \([\d.]+ KiB, kept for 7d\)$/)
    }
    expect(await warningsAt("/healthz")).toBe(null)
    const altered = await call("/api/v1/streams/large", "PATCH", { config: { "retention.ms": "1000" } })
    expect(altered).toMatchObject({ status: 200, body: { retentionMs: 1000 } })
    expect(await call("/api/v1/streams/large", "DELETE")).toMatchObject({ status: 200 })
    expect(await call("/api/v1/streams/small", "DELETE")).toMatchObject({ status: 200 })

    disk.isLow = false
    expect(await call("/readyz")).toMatchObject({ status: 200, body: { ready: true, reasons: [] } })
  })

  it("says when it drains, that it lives, and what it counts", async () => {
    readiness.isDraining = true
    expect(await call("/readyz")).toMatchObject({ status: 503, body: { reasons: ["draining"] } })
    readiness.isDraining = false
    expect(await call("/healthz")).toMatchObject({ status: 200, body: "ok\n" })
    broker.metrics.declare("logbrook_test_total", "counter", "A test.")
    broker.metrics.add("logbrook_test_total", {}, 3)
    expect((await call("/metrics")).body).toContain("logbrook_test_total 3\n")
    expect(Object.keys((await call("/openapi.json")).body.paths)).toContain("/api/v1/streams/{name}")
    expect((await call("/api/v1/cluster")).body).toMatchObject({
      clusterId: "test-cluster",
      journal: { nextSeq: journal.nextSeq }
    })
  })

  it("shows groups with their lag, and forgets a deleted stream's offsets", async () => {
    const { body } = await call("/api/v1/streams", "POST", { name: "orders" })
    await harness.append(body.partitionDetails[0].logId, "one")
    await harness.append(body.partitionDetails[0].logId, "two")
    const offsets = [
      { topicId: body.topicId, stream: "orders", partition: 0, offset: 1, leaderEpoch: -1, metadata: "" }
    ]
    const command = { _tag: "CommitOffsets", generation: -1, memberId: "", groupInstanceId: null, offsets }
    await harness.ask("group/billing", command)
    expect((await call("/api/v1/groups")).body.data).toEqual([
      {
        group: "billing",
        state: "Empty",
        members: 0,
        lag: 1,
        knownLag: 1,
        lost: 0,
        unknownPartitions: 0,
        committedOffsets: 1,
        memoryBytes: expect.any(Number)
      }
    ])
    expect((await call("/api/v1/groups/billing")).body.offsets).toEqual([
      { stream: "orders", partition: 0, offset: 1, logStartOffset: 0, highWatermark: 2, lag: 1, lost: 0 }
    ])
    await harness.ask("group/gone", command)
    expect(await call("/api/v1/groups/gone", "DELETE")).toMatchObject({ status: 200, body: { offsets: 1 } })
    expect(await call("/api/v1/groups/gone", "DELETE")).toMatchObject({ status: 404, body: { code: "UNKNOWN_GROUP" } })
    await call("/api/v1/streams/orders", "DELETE")
    // The group forgets the offsets behind the turn that follows the deletion.
    await expect.poll(async () => (await call("/api/v1/groups")).body.data).toEqual([])
  })

  it("shows the journal: pages, an event with its causes, a state, a difference", async () => {
    const { body: page } = await call("/api/v1/journal/events?kind=catalog&limit=1")
    expect(page).toMatchObject({ data: [{ type: "StreamCreated" }], meta: { hasnext: true } })
    const { body: next } = await call(`/api/v1/journal/events?kind=catalog&limit=1&cursor=${page.meta.cursor}`)
    const [a, b] = [page.data[0].seq, next.data[0].seq]
    expect(b).toBeGreaterThan(a)
    const { body: shown } = await call(`/api/v1/journal/events/${b}`)
    expect(shown).toMatchObject({
      event: next.data[0],
      causes: [],
      origin: "http POST /streams by anonymous@127.0.0.1"
    })
    const { body: state } = await call(`/api/v1/journal/state?actor=catalog/0&at=${a}`)
    expect(state.state.streams.map(({ name }: { name: string }) => name)).toEqual(["sensors"])
    const { body: diff } = await call(`/api/v1/journal/diff?actor=catalog/0&from=${a}&to=${b}`)
    expect(diff.changes).toContainEqual(expect.objectContaining({ path: "streams[free]", change: "added" }))
  })

  it("tells of events as they come, and goes on where a client was", async () => {
    const open = (headers: Record<string, string>) => fetch(`${base}/api/v1/journal/tail?kind=catalog`, { headers })
    const { body: all } = await call("/api/v1/journal/events?kind=catalog&limit=1000")
    const seqs = all.data.map(({ seq }: { seq: number }) => seq)
    expect(await idsOf(await open({ "last-event-id": String(seqs[0]) }), seqs.length - 1)).toEqual(seqs.slice(1))
    const live = await open({})
    for (const name of ["live1", "live2"]) await call("/api/v1/streams", "POST", { name })
    expect((await idsOf(live, 2)).every((seq) => seq > seqs.at(-1))).toBe(true)
    expect((await fetch(`${base}/api/v1/journal/tail?from=x`)).status).toBe(400)
    expect((await fetch(`${base}/api/v1/journal/tail?actor=x`)).status).toBe(400)
  })

  /** A server whose journal is read by `scan`. */
  const withScan = async (scan: Journal["scan"], run: (tail: string) => Promise<void>) => {
    const read: Journal = new Proxy<Journal>(journal, {
      get: (target, name) => (name === "scan" ? scan : Reflect.get(target, name, target))
    })
    const other = await acquired(listenHttp(broker, { ...parts, journal: read }, [localListener("http")]))
    try {
      await run(`http://127.0.0.1:${other.made[0]!.port}/api/v1/journal/tail`)
    } finally {
      await other.close()
    }
  }

  it("ends the live views that come to damage, and nothing else", async () => {
    let isDamaged = true
    const scan: Journal["scan"] = (fromSeq, visit) => {
      if (isDamaged) throw new JournalError("Corrupt", "a frame fails its checksum")
      journal.scan(fromSeq, visit)
    }
    await withScan(scan, async (tail) => {
      for (let i = 0; i < 3; i++) await expect((await fetch(`${tail}?from=1`)).text()).rejects.toThrow("terminated")
      const live = await fetch(tail)
      isDamaged = false
      await call("/api/v1/streams", "POST", { name: "after-damage" })
      expect(await idsOf(live, 1)).toHaveLength(1)
    })
  })

  it("serves one live view a turn, whatever their number", async () => {
    let turn = 0
    const turns: Array<number> = []
    let isCounting = true
    const count = (): void => {
      turn++
      if (isCounting) setImmediate(count)
    }
    count()
    const scan: Journal["scan"] = (fromSeq, visit) => {
      turns.push(turn)
      journal.scan(fromSeq, visit)
    }
    await withScan(scan, async (tail) => {
      const views = await Promise.all(Array.from({ length: 8 }, () => fetch(`${tail}?from=1&type=GroupDeleted`)))
      turns.length = 0
      await call("/api/v1/streams", "POST", { name: "turns" })
      await expect.poll(() => turns.length).toBeGreaterThanOrEqual(8)
      expect(new Set(turns).size).toBe(turns.length)
      for (const view of views) await view.body!.cancel()
    })
    isCounting = false
  })

  it("answers 500 where the journal cannot be read, and the log says why", async () => {
    const error = vi.spyOn(broker.log, "error").mockImplementation(() => undefined)
    await withScan(damaged, async (tail) => {
      const response = await fetch(tail.replace("tail", "events"))
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([500, "INTERNAL"])
    })
    expect(error).toHaveBeenCalledExactlyOnceWith("an HTTP request failed", {
      error: expect.stringContaining("a frame fails its checksum") as string
    })
    error.mockRestore()
  })
})
