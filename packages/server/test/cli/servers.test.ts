import * as http from "node:http"
import * as net from "node:net"
import { describe, expect, it } from "vitest"
import { answering, listening, run } from "./support.ts"

const freeStream = {
  name: "s",
  kind: "free",
  key: "none",
  topicId: "t",
  filters: [],
  partitions: 1,
  createdAt: "2027-01-15T08:00:00.000Z",
  records: 0,
  bytes: 0,
  retentionMs: -1,
  retentionBytes: -1,
  config: {},
  partitionDetails: []
}
const noStreams = { data: [], meta: { cursor: null, hasnext: false } }

describe("the server that a command asks", () => {
  it("may be named as host:port, with --url and LOGBROOK_URL", async () => {
    const { url, asked, close } = await answering(noStreams)
    const address = url.slice("http://".length)
    for (const ran of [
      await run(["streams", "list", "--url", address]),
      await run(["streams", "list", "--url", address.replace("127.0.0.1", "localhost")]),
      await run(["streams", "list", "--url", url]),
      await run(["streams", "list"], false, { LOGBROOK_URL: address })
    ]) {
      expect(ran).toMatchObject({ code: 0, err: [] })
    }
    expect(asked).toHaveLength(4)
    close()
    for (const text of ["ftp://localhost", "http://", "a b"]) {
      expect(await run(["streams", "list", "--url", text])).toMatchObject({ code: 2, out: [] })
    }
  })

  it("is said to speak no HTTP when something else listens there, whatever it does with a request", async () => {
    const answers: ReadonlyArray<(socket: net.Socket) => void> = [
      (socket) => socket.once("data", () => socket.end()),
      (socket) => socket.once("data", () => socket.destroy()),
      (socket) => socket.end(Buffer.from([0x20, 0x02, 0x00, 0x05]))
    ]
    for (const answer of answers) {
      const server = net.createServer(answer)
      const address = await listening(server)
      const { code, out, err } = await run(["streams", "list", "--url", address])
      expect({ code, out }).toEqual({ code: 5, out: [] })
      expect(err[0]).toContain(`error[E_NO_HTTP]: what listens at http://${address} speaks no HTTP`)
      expect(err[1]).toContain("18083")
      server.close()
    }
    const { url, close } = await answering(noStreams)
    const secure = await run(["streams", "list", "--url", url.replace("http:", "https:")])
    expect(secure.err.join()).toContain("speaks no TLS")
    close()
  })
})

describe("a server that is no Logbrook", () => {
  const commands: ReadonlyArray<ReadonlyArray<string>> = [
    ["streams", "list"],
    ["streams", "create", "s"],
    ["streams", "describe", "s"],
    ["streams", "alter", "s", "--compact"],
    ["streams", "delete", "s", "--yes"],
    ["groups", "list"],
    ["groups", "describe", "g"],
    ["groups", "delete", "g", "--yes"],
    ["sessions", "list"],
    ["sessions", "describe", "c"],
    ["sessions", "kick", "c"],
    ["stream-shares", "list"],
    ["stream-shares", "describe", "$share/g/$stream/s"],
    ["stream-shares", "delete", "$share/g/$stream/s", "--yes"],
    ["retained", "list"],
    ["retained", "get", "a/b"],
    ["retained", "purge", "a/#", "--yes"],
    ["topics", "tree"],
    ["journal", "tail"],
    ["journal", "show", "1"],
    ["journal", "state", "catalog/0"],
    ["journal", "diff", "catalog/0", "1", "2"],
    ["clock", "trust"],
    ["config", "show"]
  ]
  const answers: ReadonlyArray<unknown> = [
    { status: "ok" },
    [],
    null,
    "text",
    { data: {}, meta: null },
    { data: [], meta: {} },
    { data: [{ id: 1 }], meta: { cursor: null, hasnext: false } }
  ]

  it.each(commands.map((words) => [words.join(" "), words] as const))(
    "is told to be none by %s, whatever its JSON is",
    async (_name, words) => {
      for (const body of answers) {
        const { url, close } = await answering(body)
        const { code, out, err } = await run([...words, "--url", url])
        expect({ code, out }).toEqual({ code: 1, out: [] })
        expect(err[0]).toMatch(/^error\[E_HTTP\]: (not deleted: "g": )?what answers at http:\S+ is no Logbrook: its /)
        close()
      }
    }
  )
})

it("an event that cannot be shown fails what follows, as the server's end does not", async () => {
  const page = { data: [], meta: { cursor: "1", hasnext: false } }
  const follow = async (told: string) => {
    const server = http.createServer(({ url }, response) => {
      response.end(url!.includes("/tail") ? told : JSON.stringify(page))
    })
    const ran = await run(["journal", "tail", "--follow", "--url", await listening(server)])
    server.close()
    return ran
  }
  expect(await follow(": nothing\n\n")).toEqual({ code: 0, out: [], err: [] })
  expect((await follow("data: {}\n\n")).code).toBe(1)
})

describe("how long records are kept", () => {
  it.each([
    [["--retention", "7d"], { "retention.ms": "604800000" }],
    [["--retention", "-1"], { "retention.ms": "-1" }],
    [["--retention", "unlimited", "--retention-bytes", "-1"], { "retention.ms": "-1", "retention.bytes": "-1" }],
    [["--retention-bytes", "10G"], { "retention.bytes": "10000000000" }],
    [["--retention-bytes", "10GB"], { "retention.bytes": "10000000000" }],
    [["--retention-bytes", "10Gi"], { "retention.bytes": "10737418240" }],
    [["--retention-bytes", "10GiB"], { "retention.bytes": "10737418240" }]
  ])("is taken from %j", async (options, config) => {
    const { bodies, url, close } = await answering(freeStream)
    expect((await run(["streams", "create", "x", ...options, "--json", "--url", url])).code).toBe(0)
    expect(bodies).toEqual([expect.objectContaining({ config })])
    close()
  })

  it.each([
    [["--retention", "0"], "would keep nothing"],
    [["--retention", "0d"], "would keep nothing"],
    [["--retention-bytes", "0"], "would keep nothing"],
    [["--retention-bytes", "0GB"], "would keep nothing"],
    [["--retention", "7"], "which has no unit"],
    [["--retention-bytes", "512"], "which has no unit"],
    [["--retention", "10G"], "--retention takes 7d, 12h or unlimited"],
    [["--retention-bytes", "7d"], "--retention-bytes takes 512MB, 10GiB or unlimited"],
    [["--retention", "-2"], "--retention takes"],
    [["--retention-bytes", "-2"], "--retention-bytes takes"],
    [["--partitions", "1"], "--partitions takes a whole number, 2 at least"],
    [["--partitions", "many"], "--partitions takes a whole number"]
  ])("is not taken from %j: %s", async (options, message) => {
    const { bodies, url, close } = await answering(freeStream)
    const { code, err } = await run(["streams", "alter", "x", ...options, "--url", url])
    expect([code, bodies]).toEqual([2, []])
    expect(err[0]).toContain(message)
    close()
  })
})

describe("a stream", () => {
  it.each([
    ["bound", "topic", true],
    ["free", "none", false]
  ])("that is %s is shown with its key %s: %s", async (kind, key, isShown) => {
    const { url, close } = await answering({ ...freeStream, kind, key })
    const { code, out } = await run(["streams", "describe", "s", "--url", url])
    expect([code, out.some((line) => line.startsWith("key"))]).toEqual([0, isShown])
    close()
  })
})

describe("commands that are planned", () => {
  it.each([["groups", "why"], ["journal", "export"], ["completions"]])(
    "%s %s is not there yet, and something else does it",
    async (...words) => {
      const { code, out, err } = await run(words)
      expect({ code, out }).toEqual({ code: 2, out: [] })
      expect(err[0]).toMatch(/^error\[E_NOT_YET\]: logbrook [a-z ]+ is not there yet$/)
      expect(err[1]).toMatch(/^hint: ./)
    }
  )

  it("are no suggestion for what was misspelled", async () => {
    expect((await run(["group", "list"])).err[1]).toBe("hint: did you mean logbrook groups list?")
  })
})

describe("what a server warns of", () => {
  it("is told once on stderr, whatever the command, and moves no cursor", async () => {
    const warned = JSON.stringify(["the disk is low", "\u001b[2Jodd"])
    const server = await answering(noStreams, { "logbrook-warnings": warned })
    for (const words of [
      ["streams", "list"],
      ["groups", "list"],
      ["streams", "list", "--json"]
    ]) {
      const { code, err } = await run([...words, "--url", server.url])
      expect({ code, err }).toEqual({ code: 0, err: ["warning: the disk is low", "warning: \\x1b[2Jodd"] })
    }
    server.close()
    const odd = await answering(noStreams, { "logbrook-warnings": "no JSON" })
    expect(await run(["streams", "list", "--url", odd.url])).toMatchObject({ code: 0, err: [] })
    odd.close()
  })
})

describe("config show", () => {
  it("tells a running server's settings with --url, and since when they hold; else the shell's", async () => {
    const settings = [{ path: "limits.frameStallMs", value: 45_000, origin: "LOGBROOK_LIMITS_FRAME_STALL_MS" }]
    const { url, asked, close } = await answering({ since: "2027-01-15T08:00:00.000Z", settings })
    const shown = await run(["config", "show", "--url", url])
    expect(shown.out).toEqual(["SETTING\tVALUE\tFROM", "limits.frameStallMs\t45s\tLOGBROOK_LIMITS_FRAME_STALL_MS"])
    expect(shown.err).toEqual([`note: the server at ${url} has run with these settings since 2027-01-15T08:00:00.000Z`])
    expect(JSON.parse((await run(["config", "show", "--json", "--url", url])).out[0]!)).toEqual(settings)
    expect(asked).toEqual(["GET /api/v1/config", "GET /api/v1/config"])
    const both = await run(["config", "show", "--url", url, "--mqtt-port", "1"])
    expect(both).toMatchObject({ code: 2, out: [] })
    const own = await run(["config", "show"], false, { LOGBROOK_URL: url, LOGBROOK_MQTT_PORT: "1999" })
    expect(own.out).toContain("mqtt.port\t1999\tLOGBROOK_MQTT_PORT")
    expect(asked).toHaveLength(2)
    close()
  })
})
