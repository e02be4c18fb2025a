import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it } from "vitest"
import { fields, outJson, table, type Io } from "../../src/cli/Io.ts"
import { runCli } from "../../src/cli/main.ts"
import { testIo } from "./support.ts"
import { makeLog } from "../../src/Log.ts"
import { plainText } from "../../src/plainText.ts"

const printed = (isTty: boolean, run: (io: Io) => void): ReadonlyArray<string> => {
  const lines: Array<string> = []
  run({ ...testIo(isTty), out: (line) => lines.push(line) })
  return lines
}

describe("what clients named", () => {
  const clear = "a\u001B[2Jb"

  it("moves no cursor, breaks no line and turns no text round", () => {
    expect(plainText(clear)).toBe("a\\x1b[2Jb")
    expect(plainText("a\tb\nc\u009B\u007F")).toBe("a\\x09b\\x0ac\\x9b\\x7f")
    expect(plainText("a\u202Eb\u2028")).toBe("a\\u202eb\\u2028")
    expect(plainText("Grüße, 世界 👋 مرحبا")).toBe("Grüße, 世界 👋 مرحبا")
  })

  it("stays in its line of the log", () => {
    let line = ""
    const terminal = { isTTY: true, write: (text: string) => (line += text) } as unknown as NodeJS.WriteStream
    makeLog("info", terminal, () => 0).warn("refused", { clientId: `${clear}\n` })
    expect(line.endsWith("=\u001B[0ma\\x1b[2Jb\\x0a\n")).toBe(true)
  })

  it("stays in its line of an error, whether it was written on the command line or comes from a server", async () => {
    const lines: Array<string> = []
    const io: Io = { ...testIo(true), err: (line) => lines.push(line), env: {} }
    const server = http.createServer((_request, response) => {
      response.writeHead(404, { "content-type": "application/json" })
      response.end(JSON.stringify({ code: `X${clear}`, message: `no ${clear}\nhint: rm -rf` }))
    })
    await once(server.listen(0, "127.0.0.1"), "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const quiet = { ...io, env: { NO_COLOR: "1" } }
    for (const words of [
      [clear],
      ["journal", "state", clear, "--at", clear],
      ["streams", "list", `--${clear}`],
      ["config", "show", "--mqtt-port", clear],
      ["config", "show", "--config", clear],
      ["doctor", "--data-dir", clear],
      ["streams", "describe", "x", "--url", url]
    ]) {
      expect(await runCli(words, quiet)).toBeGreaterThan(0)
    }
    server.close()
    expect(lines.length).toBeGreaterThan(10)
    for (const line of lines) expect(line).toBe(plainText(line))
    expect(lines).toContain("error[E_Xa\\x1b[2Jb]: no a\\x1b[2Jb\\x0ahint: rm -rf")
  })

  it("stays in its column, in a table of more rows than a call takes arguments", () => {
    const rows = Array.from({ length: 200_000 }, (_, n) => [n === 150_000 ? "the longest" : "a", "b"])
    const lines = printed(true, (io) => table(io, ["X", "Y"], rows))
    expect(lines.length).toBe(200_001)
    expect([lines[0], lines[1], lines[150_001]]).toEqual(["X            Y", "a            b", "the longest  b"])
  })

  it("is the same JSON, in escapes on a terminal", () => {
    const document = { name: `${clear}\u009B\u202E\n`, list: [1] }
    const [onTty, piped] = [true, false].map((isTty) => printed(isTty, (io) => outJson(io, document, 2))[0]!)
    expect(piped).toBe(JSON.stringify(document, null, 2))
    expect(onTty!.split("\n").map(plainText).join("\n")).toBe(onTty)
    expect(onTty).toContain('\n  "list": [\n')
    expect(JSON.parse(onTty!)).toEqual(document)
  })

  it("stays in its cell", () => {
    expect(printed(false, (io) => table(io, ["NAME", "N"], [["a\tb", "1"]]))).toEqual(["NAME\tN", "a\\x09b\t1"])
    const wide = ["NAME       N", "a\\x1b[2Jb  1"]
    expect(printed(true, (io) => table(io, ["NAME", "N"], [[clear, "1"]]))).toEqual(wide)
    expect(printed(true, (io) => fields(io, [["name", clear]]))).toEqual(["name  a\\x1b[2Jb"])
  })
})
