import * as net from "node:net"
import { PassThrough } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { encodeConnack, encodeDisconnect, encodeSuback } from "@logbrook/protocols/mqtt/encode"
import { publishTemplate } from "@logbrook/protocols/mqtt/encodePublish"
import { PacketType } from "@logbrook/protocols/mqtt/Packet"
import { Splitter } from "@logbrook/protocols/mqtt/Splitter"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { runCli } from "../../src/cli/main.ts"
import { startKit, type Kit } from "../mqtt/kit.ts"
import { listening, type Ran, run, SlowOutput, testIo } from "./support.ts"

let kit: Kit
const at = (): ReadonlyArray<string> => ["--mqtt", `127.0.0.1:${kit.port}`]
const publish = (...words: ReadonlyArray<string>): Promise<Ran> => run(["publish", ...words, ...at()])
const subscribe = (...words: ReadonlyArray<string>): Promise<Ran> => run(["subscribe", ...words, ...at()])

beforeEach(async () => {
  kit = await startKit()
  await kit.bind("sensors", ["sensors/#"], 2)
})
afterEach(() => kit.stop())

/** A subscriber, once the server knows what it subscribes to. */
const subscribed = async (...words: ReadonlyArray<string>): Promise<{ readonly ran: Promise<Ran> }> => {
  const ran = subscribe(...words)
  await expect.poll(() => [...kit.mqtt.directory.all()].some(({ subscriptions }) => subscriptions.size > 0)).toBe(true)
  return { ran }
}

describe("publish", () => {
  it.each(["0", "1", "2"])("stores a message of QoS %s as it is told", async (qos) => {
    const properties = ["--property", "unit=C", "--property", "unit=F", "--content-type", "text/plain"]
    const { code, out, err } = await publish("sensors/d1", "21.5", "--qos", qos, "--client-id", "d1", ...properties)
    expect({ code, err }).toEqual({ code: 0, err: [] })
    const told = qos === "0" ? "sent, and acknowledged by nobody" : "acknowledged"
    expect(out).toEqual([`sensors/d1: 1 message of QoS ${qos}, 4 B, ${told}`])
    await expect.poll(() => kit.records("sensors")).toMatchObject([{ key: "d1", value: "21.5" }])
    const { headers } = kit.records("sensors")[0]!
    expect(headers.filter(([name]) => name === "unit")).toEqual([
      ["unit", "C"],
      ["unit", "F"]
    ])
    expect(headers).toContainEqual(["mqtt.content-type", "text/plain"])
  })

  it("takes the lines of stdin, more of them than may wait at once, or all of it", async () => {
    const lines = Array.from({ length: 3000 }, (_, i) => `line ${i}`)
    const ran = await run(["publish", "sensors/d1", "--json", ...at()], false, {}, `${lines.join("\n")}\n\n\r\nlast`)
    expect(ran).toMatchObject({ code: 0, err: [] })
    expect(JSON.parse(ran.out[0]!)).toMatchObject({ topic: "sensors/d1", qos: 1, messages: 3003, withoutReceivers: 0 })
    expect(kit.records("sensors").map(({ value }) => value)).toEqual([...lines, "", "\r", "last"])
    await run(["publish", "sensors/d1", "--whole", ...at()], false, {}, "one\ntwo\n")
    expect(kit.records("sensors").map(({ value }) => value)).toContain("one\ntwo\n")
  })

  it("repeats a message, and says when nobody got it", async () => {
    const { code, out, err } = await publish("nowhere/1", "x", "--count", "3", "--interval", "1ms")
    expect([code, out]).toEqual([0, ["nowhere/1: 3 messages of QoS 1, 3 B, acknowledged"]])
    expect(err).toEqual(["note: 3 messages went nowhere: nobody subscribes, and no stream stores the topic"])
  })

  it("retains, and takes back by an empty message", async () => {
    await publish("sensors/d1", "on", "--retain")
    expect((await subscribe("sensors/#", "--count", "1", "-f", "%t=%v\\n")).out).toEqual(["sensors/d1=on\n"])
    await publish("sensors/d1", "", "--retain")
    const { code, out } = await subscribe("sensors/#", "--idle", "100ms")
    expect({ code, out }).toEqual({ code: 0, out: [] })
  })

  it.each([
    [["a/+", "x"], "is no topic to publish to"],
    [["a", "x", "--qos", "3"], "--qos takes 0, 1, 2"],
    [["a", "x", "--whole"], "--whole reads the message from stdin"],
    [["a", "--count", "2"], "--count repeats a message of the command line"],
    [["a", "x", "--property", "none"], "--property takes NAME=VALUE"],
    [["a", "x", "--expiry", "1500ms"], "--expiry takes whole seconds"],
    [["a", "x", "--interval", "5"], "--interval takes 500ms"],
    [["a", "x", "--timeout", "0s"], "--timeout 0 would wait for nothing"]
  ])("refuses %j: %s", async (words, message) => {
    const { code, out, err } = await publish(...words)
    expect({ code, out }).toEqual({ code: 2, out: [] })
    expect(err[0]).toMatch(/^error\[E_USAGE\]: /)
    expect(err[0]).toContain(message)
  })

  it("refuses texts that MQTT has no room for", async () => {
    expect((await publish("a".repeat(70_000), "x")).err[0]).toContain("is longer than MQTT's texts may be")
  })

  it("tells what the server refuses, and how much arrived before", async () => {
    const { code, err } = await publish("$stream/sensors", "x")
    expect(code).toBe(4)
    expect(err[0]).toMatch(/^error\[E_REFUSED\]: the server refuses message 1: Not authorized \(0x87\)/)
    const large = await publish("sensors/d1", "x", "--property", `big=${"x".repeat(9000)}`)
    expect(large.code).toBe(1)
    expect(large.err[0]).toMatch(/^error\[E_DISCONNECTED\]: the server ends the connection: Quota exceeded \(0x97\)/)
  })
})

describe("subscribe", () => {
  it.each(["0", "1", "2"])("shows what comes at QoS %s until there is enough", async (qos) => {
    const { ran } = await subscribed("live/#", "--qos", qos, "--count", "2", "--json")
    await publish("live/1", "a", "--qos", "2", "--property", "p=1", "--property", "p=2")
    await run(["publish", "live/2", "--whole", ...at()], false, {}, Uint8Array.of(0xff, 0))
    await publish("live/3", "c")
    const { code, out, err } = await ran
    expect({ code, err }).toEqual({ code: 0, err: [] })
    const shown = out.map((line) => JSON.parse(line))
    const headers = [
      { name: "p", value: "1" },
      { name: "p", value: "2" }
    ]
    expect(shown).toMatchObject([
      { topic: "live/1", value: "a", headers, retain: false, qos: Number(qos) },
      { topic: "live/2", valueBase64: "/wA=", headers: [] }
    ])
    expect(shown[1]).not.toHaveProperty("partition")
  })

  it("is a table, with a head off a terminal as well", async () => {
    const { ran } = await subscribed("live/#", "--count", "1")
    await publish("live/1", "a\tb")
    const { out } = await ran
    expect(out[0]).toBe("TIME\tTOPIC\tVALUE")
    expect(out[1]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\tlive\/1\ta\\x09b$/)
  })

  it("leaves a terminal's cursor where it is, whatever the topic is called", async () => {
    await publish("sensors/\u009B2J\u202E", "x", "--retain")
    const { out } = await run(["subscribe", "sensors/#", "--count", "1", "-f", "%t\\n", ...at()], true)
    expect(out).toEqual(["sensors/\\x9b2J\\u202e\n"])
  })

  it("reads a stream's history, a part of it, and ends with it", async () => {
    for (const id of ["d1", "d2"]) {
      await run(["publish", `sensors/${id}`, "--client-id", id, ...at()], false, {}, "1\n2\n3\n")
    }
    const all = await subscribe("$stream/sensors", "--from", "earliest", "--until", "now", "--json")
    expect(all).toMatchObject({ code: 0, err: [] })
    const shown = all.out.map((line) => JSON.parse(line))
    const ofDevice = shown.filter(({ key }) => key === "d2")
    expect(ofDevice.map(({ topic, value, headers }) => [topic, value, headers])).toEqual([
      ["sensors/d2", "1", []],
      ["sensors/d2", "2", []],
      ["sensors/d2", "3", []]
    ])
    expect(ofDevice.map(({ offset }) => offset)).toEqual([0, 1, 2].map((i) => ofDevice[0].offset + i))
    expect(shown).toHaveLength(6)
    const part = await subscribe("$stream/sensors/sensors/d1", "--from", "last:6", "--until", "now", "-f", "%k %v\\n")
    expect(part.out).toEqual(["d1 1\n", "d1 2\n", "d1 3\n"])
    const table = await subscribe("$stream/sensors", "--from", "earliest", "--count", "1")
    expect(table.out[0]).toBe("TIME\tTOPIC\tPARTITION\tOFFSET\tKEY\tVALUE")
    expect(table.out[1]).toMatch(/Z\tsensors\/d\d\t[01]\t0\td\d\t1$/)
  })

  it("goes on where its session was, and has taken no more than it showed", async () => {
    await run(["publish", "sensors/d1", ...at()], false, {}, "1\n2\n3\n4\n5\n")
    const session = ["--client-id", "reader", "--session", "1h", "--from", "earliest", "-f", "%v "]
    const seen: Array<string> = []
    for (const count of ["2", "2", "1"]) {
      const { code, out } = await subscribe("$stream/sensors", ...session, "--count", count)
      seen.push(...out)
      expect(code).toBe(0)
    }
    expect(seen).toEqual(["1 ", "2 ", "3 ", "4 ", "5 "])
  })

  it("tells what is missing of what it was to wait for", async () => {
    const { code, err } = await subscribe("live/#", "--count", "2", "--idle", "50ms")
    expect({ code, err }).toEqual({
      code: 1,
      err: ["error[E_TOO_FEW]: 0 messages of 2 came, and none for 0.05 s"]
    })
    // An empty history has no last message to tell its end.
    expect(await subscribe("$stream/sensors", "--from", "earliest", "--until", "now", "--idle", "50ms")).toEqual({
      code: 0,
      out: [],
      err: []
    })
  })

  it("ends with the last of all histories, also of several of one stream", async () => {
    for (const id of ["d1", "d2"]) {
      await run(["publish", `sensors/${id}`, "--client-id", id, ...at()], false, {}, "1\n2\n")
    }
    const filters = ["$stream/sensors/sensors/d1", "$stream/sensors/sensors/d2", "$stream/sensors/sensors/d1"]
    const { code, out, err } = await subscribe(...filters, "--from", "earliest", "--until", "now", "-f", "%k %v ")
    expect({ code, out: out.toSorted(), err }).toEqual({ code: 0, out: ["d1 1 ", "d1 2 ", "d2 1 ", "d2 2 "], err: [] })
  })

  it.each([
    [["$stream/orders"], "1 message came, and none for 0.05 s: not all that $stream/orders had"],
    [
      ["$stream/orders/a", "$stream/orders/#"],
      "2 messages came, and none for 0.05 s: not all that $stream/orders/# had"
    ]
  ])("fails where a history stops before its end: %j", async (filters, message) => {
    const place = [
      ["stream", "orders"],
      ["partition", "0"],
      ["offset", "0"],
      ["ts", "1000"]
    ] as const
    const record = { topic: "a", payload: Buffer.from("x"), qos: 0, retain: false } as const
    // The last of them does not tell its end.
    const told = (id: number) => {
      const userProperties = id < filters.length ? [...place, ["stream-caught-up", "1"] as const] : place
      return publishTemplate(5, { ...record, properties: { userProperties, subscriptionIdentifiers: [id] } })
    }
    const server = net.createServer((socket) => {
      const splitter = new Splitter(1_000_000)
      let subscribed = 0
      const answer = (packet: Uint8Array): void => {
        const type = packet[0]! >> 4
        if (type === PacketType.Connect) socket.write(encodeConnack(5, false, 0, {}))
        if (type !== PacketType.Subscribe) return
        // So small that the length takes one byte.
        socket.write(encodeSuback(5, Buffer.from(packet).readUInt16BE(2), [0]))
        if (++subscribed === filters.length) for (let id = 1; id <= subscribed; id++) socket.write(told(id))
      }
      socket.on("error", () => undefined).on("data", (chunk) => splitter.push(chunk, answer))
    })
    const words = ["subscribe", ...filters, "--until", "now", "--idle", "50ms", "-f", "%v"]
    const { code, out, err } = await run([...words, "--mqtt", await listening(server)])
    expect({ code, out }).toEqual({ code: 1, out: filters.map(() => "x") })
    expect(err[0]).toBe(`error[E_INCOMPLETE]: ${message}`)
    server.close()
  })

  it.each([
    [
      ["$stream/nobody"],
      2,
      /^error\[E_REFUSED\]: the server refuses the subscription to \$stream\/nobody: Topic filter invalid \(0x8f\): /
    ],
    [["/sensors", "--from", "-1h"], 2, /^error\[E_USAGE\]: --from is of streams, and "\/sensors" is none$/],
    [["$stream/sensors", "--from", "soon"], 2, /^error\[E_REFUSED\]: .* \(0x8f\): stream-offset is "soon"/],
    [["a/#", "-f", "%q"], 2, /^error\[E_USAGE\]: --format: there is no %q$/],
    [["a/#", "-f", "%v", "--json"], 2, /exclude each other$/],
    [["a/#", "--session", "1h"], 2, /--session needs --client-id$/],
    [["a/#", "--will-message", "x"], 2, /--will-message needs --will-topic$/]
  ])("refuses %j with exit code %i", async (words, exitCode, message) => {
    const { code, out, err } = await subscribe(...words)
    expect({ code, out }).toEqual({ code: exitCode, out: [] })
    expect(err[0]).toMatch(message)
  })
})

const history = (...words: ReadonlyArray<string>) => ["subscribe", "$stream/sensors", "--from", "earliest", ...words]
/** So many bytes that a socket gives them in several reads. */
const values = Array.from({ length: 200 }, (_, i) => `${i} ${"x".repeat(2000)}`)
const publishValues = (): Promise<Ran> =>
  run(["publish", "sensors/d1", "--client-id", "d1", ...at()], false, {}, values.join("\n"))

/** Begins, and resolves once stdout has the first record and takes no other. */
const begun = async (words: ReadonlyArray<string>) => {
  const output = new SlowOutput()
  const err: Array<string> = []
  const io = { ...testIo(false), ...output.io, err: (line: string) => err.push(line) }
  const ran = runCli([...words, "-f", "%v", ...at()], io)
  await expect.poll(() => output.lines).toEqual(values.slice(0, 1))
  return { output, err, ran }
}

describe("a stdout that stands still", () => {
  it.each([[["--until", "now", "--idle", "50ms"]], [["--count", "200"]]])(
    "loses nothing, however long: %j",
    async (words) => {
      await publishValues()
      const { output, err, ran } = await begun(history(...words))
      await sleep(300)
      output.takeAll()
      expect(await ran).toBe(0)
      expect({ lines: output.lines, err }).toEqual({ lines: values, err: [] })
    }
  )

  it("has taken nothing of a session when its disk is full", async () => {
    await publishValues()
    const words = history("--client-id", "reader", "--session", "1h", "--count", "2")
    const { output, err, ran } = await begun(words)
    output.fail()
    expect(await ran).toBe(1)
    expect(err).toEqual(["error[E_OUTPUT]: stdout takes nothing more: ENOSPC: no space left on device, write"])
    expect((await run([...words, "-f", "%v", ...at()])).out).toEqual(values.slice(0, 2))
  })
})

describe("a server that is no MQTT server, or gone", () => {
  const connack = encodeConnack(5, false, 0, {})

  it.each<[string, (socket: net.Socket) => void, number, RegExp]>([
    ["says nothing", () => undefined, 5, /^error\[E_TIMEOUT\]: the server at \S+ has not answered for 0\.2 s$/],
    [
      "closes",
      (socket) => socket.once("data", () => socket.end()),
      5,
      /^error\[E_NO_MQTT\]: .*CONNECT is not answered/
    ],
    ["speaks HTTP", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"), 5, /^error\[E_NO_MQTT\]: /],
    ["speaks MQTT 3.1.1", (socket) => socket.end(encodeConnack(4, false, 1)), 5, /^error\[E_NO_MQTT\]: .*no MQTT 5/],
    [
      "denies",
      (socket) => socket.end(encodeConnack(5, false, 0x87)),
      4,
      /^error\[E_REFUSED\]: .*the connection: Not auth/
    ],
    [
      "goes silent behind CONNACK",
      (socket) => socket.once("data", () => socket.write(connack)),
      5,
      /^error\[E_TIMEOUT\]: /
    ],
    [
      "goes behind CONNACK",
      (socket) => socket.once("data", () => socket.write(connack, () => setTimeout(() => socket.destroy(), 20))),
      5,
      /^error\[E_CONNECTION_LOST\]: /
    ]
  ])("that %s ends both commands", async (_what, answer, exitCode, message) => {
    const sockets = new Set<net.Socket>()
    const server = net.createServer((socket) => {
      sockets.add(socket.on("error", () => undefined))
      answer(socket)
    })
    const address = await listening(server)
    // The others are told long before, however slow the machine is.
    const timeout = message.source.includes("E_TIMEOUT") ? "200ms" : "60s"
    for (const words of [
      ["publish", "a", "x"],
      ["subscribe", "a"]
    ]) {
      const { code, out, err } = await run([...words, "--mqtt", address, "--timeout", timeout])
      expect({ code, out }).toEqual({ code: exitCode, out: [] })
      expect(err[0]).toMatch(message)
    }
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  it.each<[string, ReadonlyArray<string>, Uint8Array, ((socket: net.Socket) => void) | undefined, number, RegExp]>([
    [
      "ends the connection for it",
      ["--qos", "0"],
      connack,
      (socket) => socket.end(encodeDisconnect(0x87)),
      4,
      /^error\[E_DISCONNECTED\]: .*Not authorized \(0x87\)/
    ],
    [
      "resets the connection",
      ["--qos", "0"],
      connack,
      (socket) => socket.resetAndDestroy(),
      5,
      /^error\[E_CONNECTION_LOST\]: .*(ECONNRESET|EPIPE)/
    ],
    [
      "takes nothing retained",
      ["--qos", "0", "--retain"],
      encodeConnack(5, false, 0, { retainAvailable: false }),
      undefined,
      2,
      /0x9a/
    ],
    ["takes no QoS 1", ["--qos", "1"], encodeConnack(5, false, 0, { maximumQoS: 0 }), undefined, 2, /0x9b/]
  ])("that %s has not taken a message", async (_what, words, accepted, refuse, exitCode, message) => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined)
      socket.once("data", () => {
        socket.write(accepted)
        // All of it is there, the DISCONNECT of the client too, before the server says anything.
        if (refuse === undefined) socket.end()
        else socket.once("end", () => refuse(socket)).resume()
      })
    })
    const address = await listening(server)
    const { code, out, err } = await run(["publish", "a", "x", ...words, "--mqtt", address])
    expect({ code, out }).toEqual({ code: exitCode, out: [] })
    expect(err[0]).toMatch(message)
    server.close()
  })

  it("is told at once while stdin is open and says nothing", async () => {
    const err: Array<string> = []
    const stdin = new PassThrough()
    const io = { ...testIo(false), err: (line: string) => err.push(line), stdin: () => stdin }
    const ran = runCli(["publish", "sensors/d1", ...at()], io)
    stdin.write("first\n")
    await expect.poll(() => kit.records("sensors").length).toBe(1)
    await kit.stop()
    expect(await ran).toBe(5)
    expect(err[0]).toMatch(/^error\[E_(DISCONNECTED|CONNECTION_LOST)\]/)
    expect(err[1]).toContain("1 message arrived before")
    expect(stdin.destroyed).toBe(true)
    kit = await startKit()
  })

  it("is named by variables, and by the HTTP API's host", async () => {
    const silent = net.createServer((socket) => socket.end(encodeConnack(5, false, 0x89)))
    const address = await listening(silent)
    const ran = await run(["publish", "a", "x"], false, { LOGBROOK_MQTT: address })
    expect(ran.err[0]).toContain("Server busy (0x89)")
    expect(ran.code).toBe(5)
    silent.close()
    const byUrl = await run(["publish", "a", "x"], false, { LOGBROOK_URL: "http://127.0.0.2:18083" })
    expect(byUrl.err[0]).toContain("no MQTT server answers at 127.0.0.2:1883")
    expect(await run(["publish", "a", "x", "--mqtt", "a b"])).toMatchObject({ code: 2 })
  })
})
