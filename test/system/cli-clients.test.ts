import { spawn } from "node:child_process"
import { once } from "node:events"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"

let server: ServerProcess
beforeAll(async () => {
  server = await ServerProcess.start()
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

const at = (): ReadonlyArray<string> => ["--mqtt", `127.0.0.1:${server.ports.mqtt}`]

describe("publish and subscribe", () => {
  it("are two ends of a pipe, through a stream on disk", async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `record ${i}`)
    const writer = start("publish", "sensors/pipe", "--client-id", "pipe", ...at())
    const [out, exited] = [textOf(writer.stdout), once(writer, "exit")]
    writer.stdin.end(`${lines.join("\n")}\n`)
    expect(await exited).toEqual([0, null])
    expect(out()).toBe("sensors/pipe: 5000 messages of QoS 1, 52.6 KiB, acknowledged\n")
    const words = ["subscribe", "$stream/sensors/sensors/pipe", "--from", "earliest", "--until", "now", "-f", "%v\\n"]
    const { code, stdout, stderr } = await cli(...words, ...at())
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(stdout.toString("utf8").trimEnd().split("\n")).toEqual(lines)
  })

  it("end when they are interrupted, with no message left behind", async () => {
    const reader = start("subscribe", "live/#", "--client-id", "interrupted", ...at())
    const [out, exited] = [textOf(reader.stdout), once(reader, "exit")]
    await expect
      .poll(() => server.get<{ data: ReadonlyArray<object> }>("/sessions"))
      .toMatchObject({
        data: [{ clientId: "interrupted", subscriptions: 1 }]
      })
    await cli("publish", "live/1", "21.5", ...at())
    await expect.poll(out).toContain("live/1")
    reader.kill("SIGINT")
    expect(await exited).toEqual([130, null])
    await expect.poll(() => server.get<{ data: ReadonlyArray<object> }>("/sessions")).toMatchObject({ data: [] })
  })

  it("end with a reader that has gone", async () => {
    const reader = start("subscribe", "$stream/sensors", "--from", "earliest", ...at())
    await once(reader.stdout, "data")
    reader.stdout.destroy()
    expect(await once(reader, "exit")).toEqual([0, null])
  })
})
