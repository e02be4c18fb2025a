import { spawn } from "node:child_process"
import { once } from "node:events"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"

let server: ServerProcess
beforeAll(async () => {
  server = await ServerProcess.start()
  await server.createStream("orders", { partitions: 3 })
  await server.createStream("sensors", { filters: ["sensors/#"], partitions: 2 })
})
afterAll(() => server.dispose())

const cli = (...words: ReadonlyArray<string>) => runCommand(process.execPath, server.cliArgs(...words))

/** With stdin, whose end is the caller's. */
const start = (...words: ReadonlyArray<string>) => spawn(process.execPath, server.cliArgs(...words))

const textOf = (stream: NodeJS.ReadableStream): (() => string) => {
  let text = ""
  stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")))
  return () => text
}

const mqtt = (): ReadonlyArray<string> => ["--mqtt", `127.0.0.1:${server.ports.mqtt}`]
const kafka = (): ReadonlyArray<string> => ["--kafka", server.kafka]

describe("publish and subscribe", () => {
  it("are two ends of a pipe, through a stream on disk", async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `record ${i}`)
    const writer = start("publish", "sensors/pipe", "--client-id", "pipe", ...mqtt())
    const [out, exited] = [textOf(writer.stdout), once(writer, "exit")]
    writer.stdin.end(`${lines.join("\n")}\n`)
    expect(await exited).toEqual([0, null])
    expect(out()).toBe("sensors/pipe: 5000 messages of QoS 1, 52.6 KiB, acknowledged\n")
    const words = ["subscribe", "$stream/sensors/sensors/pipe", "--from", "earliest", "--until", "now", "-f", "%v\\n"]
    const { code, stdout, stderr } = await cli(...words, ...mqtt())
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout.toString("utf8").trimEnd().split("\n")).toEqual(lines)
  })

  it("end when they are interrupted, with no message left behind", async () => {
    const reader = start("subscribe", "live/#", "--client-id", "interrupted", ...mqtt())
    const [out, exited] = [textOf(reader.stdout), once(reader, "exit")]
    await expect
      .poll(() => server.get<{ data: ReadonlyArray<object> }>("/sessions"))
      .toMatchObject({
        data: [{ clientId: "interrupted", subscriptions: 1 }]
      })
    await cli("publish", "live/1", "21.5", ...mqtt())
    await expect.poll(out).toContain("live/1")
    reader.kill("SIGINT")
    expect(await exited).toEqual([130, null])
    await expect.poll(() => server.get<{ data: ReadonlyArray<object> }>("/sessions")).toMatchObject({ data: [] })
  })

  it("end with a reader that has gone", async () => {
    const reader = start("subscribe", "$stream/sensors", "--from", "earliest", ...mqtt())
    await once(reader.stdout, "data")
    reader.stdout.destroy()
    expect(await once(reader, "exit")).toEqual([0, null])
  })
})

describe("produce and consume", () => {
  it("are two ends of a pipe, through a stream on disk", async () => {
    const reader = start(
      "consume",
      "orders",
      "--follow",
      "--group",
      "pipe",
      "--count",
      "20000",
      "-f",
      "%k %v\\n",
      ...kafka()
    )
    const [out, exited] = [textOf(reader.stdout), once(reader, "exit")]
    const lines = Array.from({ length: 20_000 }, (_, i) => `key-${i % 7} record ${i}`)
    const options = { input: `${lines.join("\n")}\n` }
    const words = ["produce", "orders", "--key-separator", " ", "--json", ...kafka()]
    const { code, stdout, stderr } = await runCommand(process.execPath, server.cliArgs(...words), options)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(JSON.parse(stdout.toString("utf8"))).toMatchObject({ records: 20_000 })
    expect(await exited).toEqual([0, null])
    const read = out().trimEnd().split("\n")
    for (let key = 0; key < 7; key++) {
      const ofKey = (line: string): boolean => line.startsWith(`key-${key} `)
      expect(read.filter(ofKey)).toEqual(lines.filter(ofKey))
    }
    const group = await server.get<{ state: string; lag: number }>("/groups/pipe")
    expect(group).toMatchObject({ state: "Empty", lag: 0 })
  })

  it("end when they are interrupted, and leave their group", async () => {
    const reader = start("consume", "orders", "--follow", "--from", "latest", "--group", "interrupted", ...kafka())
    const [notes, exited] = [textOf(reader.stderr), once(reader, "exit")]
    // The group is complete a moment before its member knows.
    await expect.poll(notes).toContain("interrupted gives this member")
    expect(await server.get("/groups/interrupted")).toMatchObject({ state: "Stable" })
    reader.kill("SIGINT")
    expect(await exited).toEqual([130, null])
    expect(await server.get("/groups/interrupted")).toMatchObject({ state: "Empty" })
  })
})

describe("groups reset", () => {
  it("has a group read again, once its members have left", async () => {
    await server.createStream("again", { partitions: 2 })
    await cli("produce", "again", "a", "--partition", "0", ...kafka())
    await cli("produce", "again", "b", "--partition", "1", ...kafka())
    const read = async (): Promise<string> =>
      (await cli("consume", "again", "--group", "again", "-f", "%v", ...kafka())).stdout.toString()
    expect([...(await read())].toSorted()).toEqual(["a", "b"])
    expect(await read()).toBe("")
    const member = start("consume", "again", "--group", "again", "--follow", ...kafka())
    await expect.poll(() => server.get("/groups/again")).toMatchObject({ state: "Stable" })
    const words = ["groups", "reset", "again", "--to", "earliest", "--url", server.url]
    const refused = await cli(...words, "--yes")
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain("error[E_GROUP_HAS_MEMBERS]: the group has members, its state is Stable")
    member.kill("SIGINT")
    await once(member, "exit")
    expect((await cli(...words, "--dry-run")).stdout.toString()).toContain("again\t0\t1\t0\t-1\t1\n")
    expect(await read()).toBe("")
    expect((await cli(...words, "--yes", "--stream", "again:1")).code).toBe(0)
    expect(await read()).toBe("b")
  })
})
