import { execFile, spawn, type ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { connectAsync } from "mqtt"
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"

const bin = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../packages/server/bundle/bin.js")
const anyPorts = ["--mqtt-port", "0", "--mqtt-ws-port", "0", "--kafka-port", "0", "--http-port", "0"]

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A server as a process of its own, known once it has printed its banner. */
class Served {
  readonly process: ChildProcess
  readonly ended: Promise<Ran>
  #out = ""
  #err = ""

  constructor(words: ReadonlyArray<string>, cwd: string) {
    this.process = spawn(process.execPath, [bin, "serve", ...words], { cwd, env: { PATH: process.env["PATH"] } })
    this.process.stdout!.on("data", (part) => (this.#out += part))
    this.process.stderr!.on("data", (part) => (this.#err += part))
    this.ended = new Promise((resolve) => {
      this.process.on("close", (code) => resolve({ code, out: this.#out, err: this.#err }))
    })
  }

  async started(): Promise<this> {
    await vi.waitFor(() => expect(this.#out + this.#err).toMatch(/^ {2}HTTP .*\n\n/m), {
      timeout: 20_000,
      interval: 20
    })
    return this
  }

  get banner(): string {
    return this.#out
  }

  port(name: string): number {
    return Number(new RegExp(`^ {2}${name} .*127\\.0\\.0\\.1:(\\d+)`, "m").exec(this.#out)![1])
  }

  get url(): string {
    return `http://127.0.0.1:${this.port("HTTP")}`
  }

  async stop(): Promise<Ran> {
    this.process.kill("SIGTERM")
    return this.ended
  }
}

const cli = (url: string, ...words: ReadonlyArray<string>): Promise<Ran> =>
  new Promise((resolve) => {
    const env = { PATH: process.env["PATH"], LOGBROOK_URL: url }
    const child = execFile(process.execPath, [bin, ...words], { env }, (_error, out, err) => {
      resolve({ code: child.exitCode, out, err })
    })
  })

describe("logbrook serve", () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-serve-"))
  const open = new Set<Served>()
  const serve = (directory: string, ...words: ReadonlyArray<string>): Served => {
    const served = new Served(["--data-dir", path.join(root, directory), ...words], root)
    open.add(served)
    return served
  }
  afterEach(async () => {
    for (const served of open) {
      served.process.kill("SIGKILL")
      await served.ended
    }
    open.clear()
  })
  afterAll(() => fs.rmSync(root, { recursive: true }))

  it("says where it listens and what to try, stops on SIGTERM, and recovers what was there", async () => {
    const first = await serve("kept", ...anyPorts).started()
    expect(first.banner).toContain("0 streams, a new journal")
    expect(first.banner).toContain(`streams create sensors --filter 'sensors/#' --url ${first.url}`)
    expect((await fetch(`${first.url}/readyz`)).status).toBe(200)
    expect((await cli(first.url, "streams", "create", "sensors", "--filter", "sensors/#")).code).toBe(0)
    const { code, err } = await first.stop()
    expect(code).toBe(0)
    expect(
      err
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).message)
    ).toEqual(["stopping", "stopped"])

    const second = await serve("kept", ...anyPorts).started()
    expect(second.banner).toMatch(/1 stream, \d+ events replayed/)
    expect(second.banner).not.toContain("streams create")
    expect((await second.stop()).code).toBe(0)
  })

  it("stops in order when it is told so twice at once, as `timeout` does", async () => {
    const served = await serve("told-twice", ...anyPorts).started()
    served.process.kill("SIGINT")
    served.process.kill("SIGTERM")
    expect((await served.ended).code).toBe(0)
    expect(fs.existsSync(path.join(root, "told-twice", "lock"))).toBe(false)
  })

  it("names port and flag when a port is taken", async () => {
    const holder = net.createServer()
    await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve))
    const { port } = holder.address() as net.AddressInfo
    const flags = anyPorts.with(anyPorts.indexOf("--kafka-port") + 1, String(port))
    const { code, out, err } = await serve("taken", ...flags).ended
    holder.close()
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toContain(`error[E_PORT_TAKEN]: Kafka cannot listen on 127.0.0.1 port ${port}`)
    expect(err).toContain("--kafka-port")
  })

  it.runIf(process.platform === "linux")("says why a directory cannot be made", async () => {
    const { code, err } = await new Served(["--data-dir", "/proc/logbrook", ...anyPorts], root).ended
    expect(code).toBe(1)
    expect(err).toContain("error[E_JOURNAL_IO]: cannot make /proc/logbrook: ")
  })

  it("leaves a directory alone that another server has", async () => {
    const holder = await serve("locked", ...anyPorts).started()
    const { code, err } = await serve("locked", ...anyPorts).ended
    expect(code).toBe(1)
    expect(err).toContain("error[E_JOURNAL_LOCKED]")
    expect(err).toContain(String(holder.process.pid))
    expect((await fetch(`${holder.url}/healthz`)).status).toBe(200)
  })

  it("refuses a journal of another format, and listens nowhere", async () => {
    fs.mkdirSync(path.join(root, "strange"))
    fs.writeFileSync(path.join(root, "strange", "seg-00000001.mdb"), "not a journal")
    fs.writeFileSync(path.join(root, "strange", "seg-00000002.mdb"), "nor this")
    const { code, out, err } = await serve("strange", ...anyPorts).ended
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err).toMatch(/^error\[E_JOURNAL_[A-Z_]+\]: /)
  })

  it("writes nothing into a backup", async () => {
    fs.mkdirSync(path.join(root, "backup"))
    fs.writeFileSync(path.join(root, "backup", "backup.json"), "{}")
    const { code, err } = await serve("backup", ...anyPorts).ended
    expect(code).toBe(1)
    expect(err).toMatch(/^error\[E_JOURNAL_UNKNOWN_FORMAT\]: .*logbrook restore/)
    expect(fs.readdirSync(path.join(root, "backup"))).toEqual(["backup.json"])
  })

  it("starts nothing when the configuration is wrong", async () => {
    fs.writeFileSync(path.join(root, "wrong.yaml"), "mqtt:\n  prot: 1\n")
    const { code, err } = await serve("wrong", "--config", "wrong.yaml", "--host", "0.0.0.0").ended
    expect(code).toBe(2)
    expect(err).toContain("did you mean mqtt.port?) [wrong.yaml:2]")
    expect(err).toContain("--insecure-listen")
    expect(fs.existsSync(path.join(root, "wrong"))).toBe(false)
  })

  describe("asked by the command line", () => {
    let served: Served
    beforeAll(async () => {
      served = await new Served(["--data-dir", path.join(root, "asked"), ...anyPorts], root).started()
    })
    afterAll(async () => {
      expect((await served.stop()).code).toBe(0)
    })
    const run = (...words: ReadonlyArray<string>): Promise<Ran> => cli(served.url, ...words)

    it("creates, lists, describes, alters and deletes streams", async () => {
      const created = await run(
        "streams",
        "create",
        "a",
        "--filter",
        "a/#",
        "--filter",
        "b/+",
        "--retention",
        "2d",
        "--json"
      )
      expect(JSON.parse(created.out)).toMatchObject({
        filters: ["a/#", "b/+"],
        partitions: 16,
        retentionMs: 172_800_000
      })
      await run("streams", "create", "free", "--partitions", "3", "--retention-bytes", "1GiB")
      const list = await run("streams", "list")
      expect(list.out.split("\n").map((line) => line.split("\t").slice(0, 3))).toEqual([
        ["NAME", "KIND", "PARTITIONS"],
        ["a", "bound", "16"],
        ["free", "free", "3"],
        [""]
      ])
      expect((await run("streams", "describe", "free")).out).toContain("1 GiB per partition")
      const altered = await run("streams", "alter", "a", "--filter", "c", "--reset", "retention.ms", "--json")
      expect(JSON.parse(altered.out)).toMatchObject({ filters: ["c"], retentionMs: 604_800_000, config: {} })
      const grown = await run("streams", "alter", "free", "--partitions", "5")
      expect(grown).toMatchObject({ code: 0, err: expect.stringContaining("most keys have another partition") })
      expect((await run("streams", "list")).out).toMatch(/^free\tfree\t5\t/m)
      expect(await run("streams", "alter", "free", "--partitions", "4")).toMatchObject({
        code: 2,
        err: expect.stringContaining("the stream has 5 partitions")
      })
      expect(await run("streams", "delete", "free")).toMatchObject({ code: 2, err: expect.stringContaining("--yes") })
      expect(await run("streams", "delete", "free", "--yes")).toMatchObject({ code: 0 })
      expect(await run("streams", "describe", "free")).toMatchObject({
        code: 3,
        err: expect.stringContaining("E_UNKNOWN_STREAM")
      })
      expect(await run("streams", "create", "a")).toMatchObject({
        code: 1,
        err: expect.stringContaining("E_STREAM_EXISTS")
      })
      expect(await run("streams", "create", "x", "--retention", "soon")).toMatchObject({ code: 2 })
      expect(await run("groups", "list", "--json")).toMatchObject({ code: 0, out: "[]\n" })
    })

    it("shows an MQTT message's way into the journal, online and offline alike", async () => {
      await run("streams", "create", "sensors", "--filter", "sensors/#", "--partitions", "1")
      const client = await connectAsync(`mqtt://127.0.0.1:${served.port("MQTT")}`, { clientId: "dev1" })
      await client.publishAsync("sensors/1", "21", { qos: 1 })
      await client.endAsync()
      const tail = await run("journal", "tail", "--actor", "partition/sensors/0", "--json")
      const event = JSON.parse(tail.out) as { readonly seq: number }
      expect(event).toMatchObject({ type: "RecordsAppended", event: { stream: "sensors", baseOffset: 0, count: 1 } })
      const shown = await run("journal", "show", String(event.seq), "--json")
      expect(JSON.parse(shown.out)).toMatchObject({ event, origin: "mqtt dev1 PUBLISH" })
      const state = ["journal", "state", "partition/sensors/0", "--at", String(event.seq), "--json"]
      const online = await run(...state)
      expect(JSON.parse(online.out).state).toMatchObject({ nextOffset: 1 })
      const offline = await run(...state, "--data-dir", path.join(root, "asked"))
      expect(offline).toEqual(online)
      expect(await run("journal", "verify", "--data-dir", path.join(root, "asked"))).toMatchObject({
        code: 1,
        out: expect.stringContaining("nothing was compared: ")
      })
      expect(await run("journal", "state", "group/none")).toMatchObject({ code: 3 })
    })

    it("follows the journal", async () => {
      const stop = new AbortController()
      const follower = spawn(process.execPath, [bin, "journal", "tail", "--follow", "--kind", "catalog", "--json"], {
        env: { PATH: process.env["PATH"], LOGBROOK_URL: served.url },
        signal: stop.signal
      })
      follower.on("error", () => undefined)
      let out = ""
      follower.stdout.on("data", (part) => (out += part))
      await expect.poll(() => out, { timeout: 10_000 }).toContain("StreamCreated")
      await run("streams", "create", "followed")
      await expect.poll(() => out, { timeout: 10_000 }).toContain('"name":"followed"')
      stop.abort()
    })
  })
})
