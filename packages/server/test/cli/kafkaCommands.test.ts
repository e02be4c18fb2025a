import * as net from "node:net"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { encodeSubscription } from "../../src/cli/clients/consumerProtocol.ts"
import { runCli } from "../../src/cli/main.ts"
import { startKit, type Kit } from "../kafka/kit.ts"
import { plainText } from "../../src/plainText.ts"
import { listening, type Ran, run, SlowOutput, testIo } from "./support.ts"

let kit: Kit
const at = (): ReadonlyArray<string> => ["--kafka", `127.0.0.1:${kit.listener.port}`]
const consume = (...words: ReadonlyArray<string>): Promise<Ran> => run(["consume", ...words, ...at()])
const produce = (words: ReadonlyArray<string>, stdin: string | Uint8Array = ""): Promise<Ran> =>
  run(["produce", ...words, ...at()], false, {}, stdin)

beforeEach(async () => {
  kit = await startKit()
  await kit.createStream("orders", { partitions: 3 })
  await kit.createStream("one", { partitions: 1 })
})
afterEach(() => kit.close())

const shown = ({ out }: Ran) => out.map((line) => JSON.parse(line))
const offsetOf = (group: string): Promise<unknown> =>
  kit.ask(`group/${group}`, { _tag: "FetchOffsets", partitions: null })

describe("produce and consume", () => {
  it("keep key, headers, time and order", async () => {
    const words = ["one", "--key", "k", "--header", "a=1", "--header", "a=2", "--json"]
    const { code, out, err } = await produce(words, "first\n\nthird")
    expect({ code, err }).toEqual({ code: 0, err: [] })
    expect(JSON.parse(out[0]!)).toMatchObject({
      stream: "one",
      records: 3,
      partitions: [{ partition: 0, records: 3, firstOffset: 0, lastOffset: 2 }]
    })
    const headers = [
      { name: "a", value: "1" },
      { name: "a", value: "2" }
    ]
    const read = await consume("one", "--json")
    expect(read).toMatchObject({ code: 0, err: [] })
    expect(shown(read)).toMatchObject(
      ["first", "", "third"].map((value, offset) => ({ topic: "one", partition: 0, offset, key: "k", headers, value }))
    )
    const table = await consume("one", "--count", "1")
    expect(table.out[0]).toBe("TIME\tTOPIC\tPARTITION\tOFFSET\tKEY\tVALUE")
    expect(table.out[1]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\tone\t0\t0\tk\tfirst$/)
    expect((await consume("one", "-f", "%t %p %o %k %v [%h] %S%%\\n")).out[2]).toBe("one 0 2 k third [a=1,a=2] 5%\n")
  })

  it.each(["none", "gzip", "snappy", "lz4", "zstd"])("of more records than a batch holds, with %s", async (codec) => {
    const lines = Array.from({ length: 30_000 }, (_, i) => `record ${i} ${"x".repeat(60)}`)
    const { code, out } = await produce(["one", "--compression", codec], `${lines.join("\n")}\n`)
    expect({ code, out }).toEqual({ code: 0, out: ["one-0: 30000 records, offsets 0 to 29999"] })
    const read = await consume("one", "-f", "%v\\n")
    expect(read.out.map((line) => line.trimEnd())).toEqual(lines)
  })

  it("put a key where Kafka puts it, and take what was shown as input", async () => {
    await produce(["orders", "--key-separator", "::"], "a::1\nb::2\na::3\nc::4\n")
    const read = shown(await consume("orders", "--json"))
    // As kafkajs' JavaCompatiblePartitioner chooses of three partitions.
    const partitions = Object.fromEntries(read.map(({ key, partition }) => [key, partition]))
    expect(partitions).toEqual({ a: 1, b: 2, c: 1 })
    expect(read.filter(({ key }) => key === "a").map(({ value }) => value)).toEqual(["1", "3"])
    const copied = await produce(
      ["one", "--input", "json", "--partition", "0"],
      read.map((each) => JSON.stringify(each)).join("\n")
    )
    expect(copied.out).toEqual(["one-0: 4 records, offsets 0 to 3"])
    const copy = shown(await consume("one", "--json"))
    expect(copy.map(({ key, value, timestampMs }) => [key, value, timestampMs])).toEqual(
      read.map(({ key, value, timestampMs }) => [key, value, timestampMs])
    )
  })

  it("keep that a record has no time", async () => {
    await produce(["one", "--input", "json"], '{"value":"a","timestampMs":-1}\n{"value":"b","timestampMs":5}')
    const read = await consume("one", "--json")
    expect(shown(read)).toMatchObject([{ timestampMs: -1 }, { timestampMs: 5 }])
    expect(await produce(["one", "--input", "json"], read.out.join("\n"))).toMatchObject({ code: 0, err: [] })
    expect(shown(await consume("one", "--from", "2", "--json"))).toMatchObject([
      { timestampMs: -1 },
      { timestampMs: 5 }
    ])
  })

  it("keep bytes that are no text, and a value that is none", async () => {
    await produce(["one", "--whole"], Uint8Array.of(0xff, 0, 0x0a))
    await produce(["one", "--key", "k", "--tombstone"])
    const read = await consume("one", "--json")
    expect(shown(read)).toMatchObject([
      { key: null, valueBase64: "/wAK" },
      { key: "k", value: null }
    ])
    expect((await produce(["one", "--input", "json"], read.out.join("\n"))).code).toBe(0)
    expect(shown(await consume("one", "--from", "2", "--json"))).toMatchObject([
      { offset: 2, valueBase64: "/wAK" },
      { offset: 3, key: "k", value: null }
    ])
  })

  it.each([
    [
      ["--from", "2"],
      ["2", "3", "4"]
    ],
    [
      ["--from", "2", "--until", "4"],
      ["2", "3"]
    ],
    [["--from", "latest"], []],
    [
      ["--from", "2026-01-01T00:00:02Z"],
      ["2", "3", "4"]
    ],
    [
      ["--from", "2026-01-01T00:00:01Z", "--until", "2026-01-01T00:00:03Z"],
      ["1", "2"]
    ],
    [
      ["--until", "2030-01-01T00:00:00Z", "--count", "2"],
      ["0", "1"]
    ],
    [["--from", "99"], []]
  ])("read from and until: %j", async (words, values) => {
    const records = [0, 1, 2, 3, 4].map((i) =>
      JSON.stringify({ value: String(i), timestampMs: Date.parse("2026-01-01T00:00:00Z") + i * 1000 })
    )
    await produce(["one", "--input", "json"], records.join("\n"))
    const { code, out } = await consume("one", ...words, "-f", "%v")
    expect({ code, out }).toEqual({ code: 0, out: values })
  })

  it("follow until there is enough", async () => {
    const ran = consume("one", "--follow", "--count", "3", "-f", "%v ")
    for (const value of ["a", "b", "c", "d"]) await produce(["one", value])
    expect((await ran).out).toEqual(["a ", "b ", "c "])
  })
})

const onTty = (...words: ReadonlyArray<string>): Promise<Ran> => run(["consume", ...words, ...at()], true)

describe("what a record brings to a terminal", () => {
  const [control, shown] = ["a\u001B[2J\u009Bb\u202E", "a\\x1b[2J\\x9bb\\u202e"]

  it("moves no cursor and turns no text round, in whichever part of a format it is", async () => {
    await produce(["one", control, "--key", control, "--header", `${control}=${control}`])
    const format = ["-f", "%k|%v|%s|%h\\n"]
    expect((await onTty("one", ...format)).out).toEqual([`${shown}|${shown}|${shown}|${shown}=${shown}\n`])
    const bytes = Buffer.from(`${control}|${control}|${control}|${control}=${control}\n`).toString("latin1")
    expect((await consume("one", ...format)).out).toEqual([bytes])
  })

  it("is the same JSON there, in escapes", async () => {
    await produce(["one", `${control}\u007F\n`, "--key", control])
    const { out } = await onTty("one", "--json")
    expect(out[0]).toBe(plainText(out[0]!))
    expect(JSON.parse(out[0]!)).toMatchObject({ key: control, value: `${control}\u007F\n` })
    expect((await consume("one", "--json")).out[0]).toContain("\u009B")
  })
})

describe("consume in a group", () => {
  it("goes on where the group was, by what it showed", async () => {
    await produce(["one"], "0\n1\n2\n3\n4\n")
    const first = await consume("one", "--group", "g", "--count", "2", "-f", "%v")
    expect(first).toEqual({ code: 0, out: ["0", "1"], err: ["note: g gives this member one-0"] })
    expect(await offsetOf("g")).toMatchObject({ offsets: [{ stream: "one", partition: 0, offset: 2 }] })
    expect((await consume("one", "--group", "g", "-f", "%v")).out).toEqual(["2", "3", "4"])
    expect((await consume("one", "--group", "g", "-f", "%v")).out).toEqual([])
    expect(await kit.ask("group/g", { _tag: "Describe" })).toMatchObject({ state: "Empty", members: [] })
  })

  it("shares the partitions with another member, each record once", async () => {
    const values = Array.from({ length: 60 }, (_, i) => String(i))
    const readers = [0, 1].map(() => consume("orders", "--group", "g", "--follow", "--count", "20", "-f", "%v"))
    await expect
      .poll(() => kit.ask("group/g", { _tag: "Describe" }))
      .toMatchObject({ state: "Stable", members: [{}, {}] })
    for (const partition of ["0", "1", "2"]) {
      await produce(
        ["orders", "--partition", partition],
        values
          .slice(Number(partition) * 20)
          .slice(0, 20)
          .join("\n")
      )
    }
    const seen = (await Promise.all(readers)).flatMap(({ out }) => out)
    const rest = await consume("orders", "--group", "g", "-f", "%v")
    expect([...seen, ...rest.out].toSorted()).toEqual(values.toSorted())
  })
})

/** A member that joins by the actor alone, and never answers a rebalance. */
const join = (memberId: string, metadata: Buffer): Promise<unknown> =>
  kit.ask("group/g", {
    _tag: "JoinMember",
    memberId: "",
    proposedMemberId: memberId,
    groupInstanceId: null,
    clientId: memberId,
    clientHost: "/127.0.0.1",
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata }],
    requireKnownMemberId: false,
    skipAssignmentSupported: false,
    reason: null
  })
const members = async (): Promise<unknown> =>
  ((await kit.ask("group/g", { _tag: "Describe" })) as { readonly members: ReadonlyArray<unknown> }).members.length

const heartbeats = (): number =>
  Number(/^logbrook_kafka_requests_total\{api="Heartbeat".*\} (\d+)$/m.exec(kit.broker.metrics.render())?.[1] ?? 0)

/** Follows as the leader, until it has shown so many records. */
const leading = async (count: string): Promise<{ readonly ran: Promise<Ran> }> => {
  const ran = consume("one", "--group", "g", "--follow", "--count", count, "-f", "%v")
  await expect.poll(members).toBe(1)
  return { ran }
}

describe("consume in a group beside others", () => {
  it("gives nothing of topics that are not there, whoever wants them", async () => {
    const { ran } = await leading("1")
    await join("other", encodeSubscription(["nobody", "one"]))
    await produce(["one"], "0")
    const { code, out, err } = await ran
    expect({ code, out }).toEqual({ code: 0, out: ["0"] })
    expect(err.at(-1)).toBe("note: g gives this member one-0")
  })

  it("is ended in words by a member whose subscription is none", async () => {
    const { ran } = await leading("1")
    await join("other", Buffer.from([0, 0, 0, 0, 0]))
    const { code, err } = await ran
    expect(code).toBe(1)
    expect(err.at(-1)).toBe(
      "error[E_CONSUMER_PROTOCOL]: a member of the group sends what is no subscription of Kafka's consumer protocol"
    )
    expect(await members()).toBe(1)
  })

  it("is ended by the first signal while the group waits for others", async () => {
    await join("other", encodeSubscription(["one"]))
    const heard = process.listenerCount("SIGINT")
    const ran = consume("one", "--group", "g", "--follow")
    await expect.poll(() => kit.ask("group/g", { _tag: "Describe" })).toMatchObject({ state: "PreparingRebalance" })
    expect(process.listenerCount("SIGINT")).toBe(heard + 1)
    process.emit("SIGINT", "SIGINT")
    expect(await ran).toMatchObject({ code: 130, out: [], err: [] })
    expect(process.listenerCount("SIGINT")).toBe(heard)
    // It has left: the group does not wait until its session is over.
    expect(await members()).toBe(1)
  })

  it("tells the group that it is there while its output is not read", async () => {
    await produce(["one"], "0\n1\n2")
    const output = new SlowOutput()
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    try {
      const ran = runCli(["consume", "one", "--group", "g", "-f", "%v", ...at()], { ...testIo(false), ...output.io })
      await expect.poll(() => output.lines).toEqual(["0"])
      await expect.poll(() => vi.getTimerCount()).toBe(1)
      for (let beat = 1; beat <= 3; beat++) {
        vi.advanceTimersByTime(3_000)
        await expect.poll(heartbeats).toBe(beat)
      }
      output.takeAll()
      expect(await ran).toBe(0)
      expect(vi.getTimerCount()).toBe(0)
      expect(await offsetOf("g")).toMatchObject({ offsets: [{ stream: "one", partition: 0, offset: 3 }] })
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([true, false])("commits only what stdout took: %s", async (isTaken) => {
    await produce(["one"], "0\n1\n2")
    const output = new SlowOutput()
    const ran = runCli(["consume", "one", "--group", "g", "-f", "%v", ...at()], { ...testIo(false), ...output.io })
    await expect.poll(() => output.lines).toEqual(["0"])
    if (isTaken) output.takeAll()
    else output.fail()
    expect(await ran).toBe(isTaken ? 0 : 1)
    expect(await offsetOf("g")).toMatchObject({ offsets: [{ stream: "one", partition: 0, offset: isTaken ? 3 : 0 }] })
    expect(await members()).toBe(0)
  })
})

describe("what cannot be", () => {
  it.each([
    [["consume", "nobody"], 3, /^error\[E_UNKNOWN_TOPIC_OR_PARTITION\]: nobody: /],
    [
      ["consume", "one", "--partition", "1"],
      3,
      /^error\[E_UNKNOWN_TOPIC_OR_PARTITION\]: one has partitions 0 to 0, not 1$/
    ],
    [["consume", "one", "--from", "soon"], 2, /^error\[E_USAGE\]: --from takes earliest, latest, an offset, a time/],
    [["consume", "one", "--follow", "--until", "now"], 2, /exclude each other$/],
    [["consume", "one", "--group", "g", "--partition", "0"], 2, /exclude each other$/],
    [["produce", "nobody", "x"], 3, /^error\[E_UNKNOWN_TOPIC_OR_PARTITION\]: nobody: /],
    [
      ["produce", "one", "x", "--partition", "1"],
      3,
      /^error\[E_UNKNOWN_TOPIC_OR_PARTITION\]: one has partitions 0 to 0/
    ],
    [["produce", "one", "x", "--tombstone"], 2, /--tombstone is a record of a --key without VALUE$/],
    [["produce", "one", "x", "--key", "a", "--key-separator", ":"], 2, /exclude each other$/],
    [["produce", "one", "x", "--compression", "best"], 2, /--compression takes none, gzip/]
  ])("%j has exit code %i", async (words, exitCode, message) => {
    const { code, out, err } = await run([...words, ...at()])
    expect({ code, out }).toEqual({ code: exitCode, out: [] })
    expect(err[0]).toMatch(message)
  })

  it("be a record that no batch holds, and what came before it is told", async () => {
    const { code, err } = await produce(["one"], `small\n${"x".repeat(1_100_000)}\n`)
    expect(code).toBe(2)
    expect(err[0]).toBe("error[E_TOO_LARGE]: a record takes more than 976.6 KiB, which no batch may")
    expect(err[1]).toBe("  1 record arrived before")
    expect((await consume("one", "-f", "%v")).out).toEqual(["small"])
  })

  it("be written to a bound stream", async () => {
    await kit.createStream("sensors", { filters: ["sensors/#"] })
    const { code, err } = await produce(["sensors", "x"])
    expect(code).toBe(4)
    expect(err[0]).toMatch(/^error\[E_TOPIC_AUTHORIZATION_FAILED\]: sensors-\d+: /)
    expect(err[1]).toBe("hint: a bound stream is written by MQTT: logbrook publish TOPIC")
  })

  it.each([
    ["1:a\n2:b\nno separator", ["--key-separator", ":"], /there is no ":" in "no separator"$/],
    ['{"value":"a"}\n{"value":"b"}\n{"key":"x"}', ["--input", "json"], /is no record: it has no value$/],
    ['{"value":"a"}\n{"value":"b"}\n{"value":1}', ["--input", "json"], /is no record: value is no text$/],
    ['{"value":"a"}\n{"value":"b"}\nno json', ["--input", "json"], /is no record: it is no JSON$/]
  ])("be input: %j", async (stdin, words, message) => {
    const { code, err } = await produce(["one", ...words], stdin)
    expect(code).toBe(2)
    expect(err[0]).toMatch(message)
  })
})

describe("a server that is no Kafka server, or gone", () => {
  it.each<[string, (socket: net.Socket) => void, RegExp]>([
    ["says nothing", () => undefined, /^error\[E_TIMEOUT\]: the server at \S+ has not answered for 0\.2 s$/],
    [
      "closes",
      (socket) => socket.once("data", () => socket.end()),
      /^error\[E_NO_KAFKA\]: .*ApiVersions is not answered/
    ],
    ["speaks HTTP", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"), /^error\[E_NO_KAFKA\]: /],
    ["answers another question", (socket) => socket.end(Buffer.alloc(8, "\0\0\0\x04")), /^error\[E_NO_KAFKA\]: /]
  ])("that %s ends both commands", async (_what, answer, message) => {
    const sockets = new Set<net.Socket>()
    const server = net.createServer((socket) => {
      sockets.add(socket.on("error", () => undefined))
      answer(socket)
    })
    const address = await listening(server)
    // The others are told long before, however slow the machine is.
    const timeout = message.source.includes("E_TIMEOUT") ? "200ms" : "60s"
    for (const words of [
      ["produce", "one", "x"],
      ["consume", "one"]
    ]) {
      const { code, out, err } = await run([...words, "--kafka", address, "--timeout", timeout])
      expect({ code, out }).toEqual({ code: 5, out: [] })
      expect(err[0]).toMatch(message)
    }
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  it("ends a reader that follows", async () => {
    const ran = consume("one", "--follow")
    await produce(["one", "x"])
    await kit.listener.close()
    const { code, err } = await ran
    expect(code).toBe(5)
    expect(err.at(-1)).toMatch(/^error\[E_CONNECTION_LOST\]/)
  })
})
