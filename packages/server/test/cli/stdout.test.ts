import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as http from "node:http"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { startKit } from "../mqtt/kit.ts"
import { answering, listening } from "./support.ts"

const bin = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))

/** The program itself, in a process of its own. */
const start = (words: ReadonlyArray<string>, stdout: number | "pipe") => {
  const child = spawn(process.execPath, ["--conditions=source", bin, ...words], { stdio: ["ignore", stdout, "pipe"] })
  let err = ""
  child.stderr!.on("data", (chunk: Buffer) => (err += chunk.toString("utf8")))
  return { child, ended: once(child, "close").then(([code]) => ({ code: code as number | null, err })) }
}

const onFullDisk = async (...words: ReadonlyArray<string>) => {
  const disk = fs.openSync("/dev/full", "w")
  try {
    return await start(words, disk).ended
  } finally {
    fs.closeSync(disk)
  }
}

const fullDisk = {
  code: 1,
  err: "error[E_OUTPUT]: stdout takes nothing more: ENOSPC: no space left on device, write\n"
}

describe.skipIf(!fs.existsSync("/dev/full"))("a stdout on a full disk", () => {
  it("fails a command that only prints", async () => {
    expect(await onFullDisk("--version")).toEqual(fullDisk)
    expect(await onFullDisk("subscribe", "--help")).toEqual(fullDisk)
    const { url, close } = await answering({ data: [], meta: { cursor: null, hasnext: false } })
    expect(await onFullDisk("streams", "list", "--url", url)).toEqual(fullDisk)
    close()
  })

  it("ends a command that would go on for ever", async () => {
    const kit = await startKit()
    const mqtt = ["--mqtt", `127.0.0.1:${kit.port}`]
    const retained = await start(["publish", "a/1", "x", "--retain", ...mqtt], "pipe").ended
    expect(retained).toMatchObject({ code: 0 })
    expect(await onFullDisk("subscribe", "a/#", ...mqtt)).toEqual(fullDisk)
    await kit.stop()

    const event = {
      seq: 1,
      time: "2027-01-15T08:00:00.000Z",
      epoch: 1,
      actor: "group/g",
      type: "T",
      cause: {},
      event: {}
    }
    const page = { data: [], meta: { cursor: "1", hasnext: false } }
    const server = http.createServer(({ url }, response) => {
      if (!url!.includes("/tail")) response.end(JSON.stringify(page))
      else response.write(`data: ${JSON.stringify(event)}\n\n`)
    })
    const url = await listening(server)
    expect(await onFullDisk("journal", "tail", "--follow", "--url", url)).toEqual(fullDisk)
    server.close()
  })
})

it("a reader that has gone ends a command quietly", async () => {
  const { child, ended } = start(["--version"], "pipe")
  child.stdout!.destroy()
  expect(await ended).toEqual({ code: 0, err: "" })
})
