import { execFile } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { runCommand } from "../support/runCommand.ts"
import { ShardHarness } from "../../packages/server/test/tools/ShardHarness.ts"

const bin = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../packages/server/bundle/bin.js")

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

const cli = (...words: ReadonlyArray<string>): Promise<Ran> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [bin, ...words], (_error, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err })
    })
  })

const versionBy = (file: string) => runCommand(process.execPath, [file, "--version"])

/** What a group of two went through: joined, committed, one left. Resolves once all is durable and closed. */
const liveThrough = async (directory: string): Promise<void> => {
  const options = {
    directory,
    segmentBytes: 1e8,
    segmentRefsMax: defaultLimits.segmentIndexEntriesMax
  }
  const journal = LmdbJournal.open(options)
  const harness = new ShardHarness(journal)
  await harness.createStream("sensors", ["sensors/#"], 4)
  for (const logId of [2, 3, 4, 5]) await harness.append(logId, '{"celsius":21}')
  await Promise.all([harness.join("dashboard", "app1-aaaa"), harness.join("dashboard", "app2-bbbb")])
  const assigned = new Map([
    ["app1-aaaa", [0, 1]],
    ["app2-bbbb", [2, 3]]
  ])
  await harness.sync("dashboard", 1, "app1-aaaa", "sensors", assigned)
  await harness.leave("dashboard", "app2-bbbb")
  await harness.join("dashboard", "app1-aaaa", false)
  await harness.sync("dashboard", 2, "app1-aaaa", "sensors", new Map([["app1-aaaa", [0, 1, 2, 3]]]))
  await harness.shard.drained()
  harness.shard.stop()
  await journal.close()
}

describe("logbrook journal, on a data directory", () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-cli-"))
  const directory = path.join(root, "data")
  const journal = (command: string, ...words: ReadonlyArray<string>): Promise<Ran> =>
    cli("journal", command, ...words, "--data-dir", directory)

  const seqOf = async (type: string): Promise<number> => {
    const { out } = await journal("tail", "--json", "--type", type)
    return (JSON.parse(out.split("\n")[0]!) as { seq: number }).seq
  }

  beforeAll(() => liveThrough(directory))
  afterAll(() => fs.rmSync(root, { recursive: true }))

  it("tails: text by default, JSON lines if asked", async () => {
    const { code, out, err } = await journal("tail", "--lines", "1000", "--json")
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const events = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { seq: number; type: string })
    expect(events[0]!.type).toBe("Started")
    expect(events.at(-1)!.type).toBe("Stopped")
    const text = await journal("tail", "--actor", "partition/sensors/1")
    expect(text.out).toContain("partition/sensors/1\tRecordsAppended\toffsets 0 to 0")
    expect(text.out.trim().split("\n")).toHaveLength(1)
  })

  it("shows a group as it was, and what changed", async () => {
    const stored = await seqOf("AssignmentStored")
    const { out } = await journal("state", "group/dashboard", "--at", String(stored), "--json")
    expect(JSON.parse(out)).toMatchObject({
      actor: "group/dashboard",
      seq: stored,
      state: {
        state: "Stable",
        generation: 1,
        leader: "app1-aaaa",
        members: [
          { memberId: "app1-aaaa", partitions: ["sensors-0", "sensors-1"] },
          { memberId: "app2-bbbb", partitions: ["sensors-2", "sensors-3"] }
        ]
      }
    })
    const now = await journal("state", "group/dashboard")
    expect(now.out).toContain("state: Stable")
    const left = await seqOf("MemberLeft")
    const diff = await journal("diff", "group/dashboard", String(stored), String(left))
    expect(diff.out).toContain("- members[app2-bbbb]")
    expect(diff.out).toContain("MemberLeft")
  })

  it("takes times as the tools print them, says that they are UTC, and that two points were swapped", async () => {
    const { out } = await journal("tail", "--json", "--type", "Stopped")
    const { seq, time } = JSON.parse(out) as { seq: number; time: string }
    const printed = new Date(Date.parse(time) + 1).toISOString().replace("T", " ").slice(0, -1)
    const at = await journal("state", "group/dashboard", "--at", printed)
    expect(at.out).toBe((await journal("state", "group/dashboard")).out)
    expect(at.err).toBe(`note: ${printed} is taken as ${printed.replace(" ", "T")}Z: times without a zone are UTC\n`)
    expect((await journal("state", "group/dashboard", "--at=-0s")).out).toBe(at.out)
    const diff = await journal("diff", "group/dashboard", "-0s", String(seq - 1))
    expect(diff.err).toBe(`note: -0s is behind ${seq - 1}: what changed is told forward in time\n`)
    expect(diff.out).toContain(`from #${seq - 1} to #`)
  })

  it("shows an event with the request that led to it", async () => {
    const { out, code } = await journal("show", String(await seqOf("MemberLeft")))
    expect(code).toBe(0)
    expect(out).toContain("because of kafka app2-bbbb LeaveGroup")
  })

  const verifiedText = /^ok: \d+ events, #1 to #\d+, fold; [1-9]\d* of them to the [1-9]\d* states that were live\n/

  it("verifies and replays", async () => {
    expect(await journal("verify")).toMatchObject({ code: 0, out: expect.stringMatching(verifiedText) })
    const { out } = await journal("replay", "--json")
    expect(JSON.parse(out).kinds).toContainEqual(expect.objectContaining({ kind: "group", actors: 1 }))
  })

  it.each([
    [["journal", "show", "999999"], 3, "E_UNKNOWN_EVENT"],
    [["journal", "state", "group/nobody"], 3, "E_UNKNOWN_ACTOR"],
    [["journal", "state", "sensors"], 2, "E_INVALID_ACTOR"],
    [["journal", "tail", "--kind", "nothing"], 2, "E_INVALID_ACTOR"],
    [["journal", "tail", "--type", "MemberJoine"], 2, "E_INVALID_TYPE"],
    [["journal", "tail", "--actor", "group/dashbord"], 3, "E_UNKNOWN_ACTOR"],
    [["journal", "tail", "--from", "999999"], 3, "E_UNKNOWN_EVENT"],
    [["journal", "state", "group/dashboard", "--at", "-30d"], 3, "E_UNKNOWN_EVENT"],
    [["journal", "show", "soon"], 2, "E_USAGE"],
    [["journal", "show"], 2, "E_USAGE"],
    [["journal", "state", "group/x", "--at", "soon"], 2, "E_USAGE"]
  ])("%j ends with %i %s, on stderr only", async (words, code, error) => {
    const ran = await cli(...words, "--data-dir", directory)
    expect(ran).toMatchObject({ code, out: "", err: expect.stringContaining(`error[${error}]: `) })
  })

  it("refuses what it would not do: follow a directory, more lines than there are in a page", async () => {
    for (const options of [["--follow"], ["--lines", "1001"]]) {
      expect(await cli("journal", "tail", "--data-dir", directory, ...options)).toMatchObject({
        code: 2,
        err: expect.stringContaining("error[E_USAGE]")
      })
    }
  })
})

describe("logbrook, on what is no data directory", () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-none-"))
  const at = (name: string): string => path.join(root, name)
  afterAll(() => fs.rmSync(root, { recursive: true }))

  beforeAll(async () => {
    for (const name of ["empty", "lost", "photos", "parent", "cut"]) fs.mkdirSync(at(name))
    fs.writeFileSync(at("lost/cluster-id"), "x")
    fs.writeFileSync(at("photos/beach.jpg"), "x")
    fs.writeFileSync(at("file"), "x")
    fs.writeFileSync(at("cut/seg-00000001-0123456789abcdef.mdb"), "x")
    await liveThrough(at("parent/data"))
    expect((await cli("backup", at("backup"), "--data-dir", at("parent/data"))).code).toBe(0)
    expect((await cli("backup", at("backup.tar"), "--data-dir", at("parent/data"))).code).toBe(0)
  })

  const kinds = [
    ["empty", "is empty", "logbrook serve makes one"],
    ["none", "does not exist", "logbrook serve makes one"],
    ["backup", "is a backup", "logbrook restore"],
    ["backup.tar", "is a backup in one file", "logbrook restore"],
    ["cut", "is a backup that was not finished", "--data-dir names"],
    ["lost", "segments (seg-*.mdb) are all gone", "from a backup"],
    ["file", "is a file", "--data-dir names"],
    ["photos", "holds other files", "--data-dir names"],
    ["parent", "holds other files", "parent/data"]
  ] as const

  it.each(kinds)("says of %s that it %s, and what to do, whatever the command", async (name, what, advice) => {
    for (const words of [["doctor"], ["doctor", "--repair"], ["backup", at("copy")], ["journal", "tail"]].concat([
      ["journal", "verify"],
      ["journal", "replay"]
    ])) {
      const ran = await cli(...words, "--data-dir", at(name))
      expect(ran).toMatchObject({ code: 3, out: "" })
      expect(ran.err).toMatch(/^error\[E_NO_JOURNAL\]: there is no journal: /)
      expect(ran.err.split("\n")[0]).toContain(what)
      expect(ran.err.split("\n")[1]).toContain(advice)
    }
    expect(fs.existsSync(at("copy"))).toBe(false)
  })

  it("restores from backups only, and into nothing but an empty directory", async () => {
    for (const [name, what] of kinds.filter(([name]) => !name.startsWith("backup"))) {
      const ran = await cli("restore", at(name), "--data-dir", at("restored"))
      expect(ran).toMatchObject({ code: 3, err: expect.stringContaining("error[E_NO_BACKUP]: there is no backup: ") })
      expect(ran.err).toContain(what)
    }
    for (const name of ["parent/data", "photos", "backup", "file"]) {
      const ran = await cli("restore", at("backup"), "--data-dir", at(name))
      expect(ran).toMatchObject({ code: 1, err: expect.stringContaining("error[E_NOT_EMPTY]: ") })
    }
    for (const name of ["parent/data", "lost", "file"]) {
      const ran = await cli("backup", at(name), "--data-dir", at("parent/data"))
      expect(ran).toMatchObject({ code: 1, err: expect.stringContaining("error[E_NOT_EMPTY]: ") })
    }
  })
})

describe("logbrook", () => {
  it("knows its version, its commands, and what was meant", async () => {
    expect(await cli("--version")).toEqual({ code: 0, out: "0.1.0\n", err: "" })
    expect((await cli("--help")).out).toContain("journal state ACTOR")
    expect((await cli("journal", "state", "--help")).out).toContain("--at SEQ|TIME")
    expect(await cli("stream", "list")).toMatchObject({
      code: 2,
      err: expect.stringContaining("did you mean logbrook streams list?")
    })
    expect(await cli("serve", "--mqt-port", "1")).toMatchObject({
      code: 2,
      err: expect.stringContaining("did you mean --mqtt-port?")
    })
    expect(await cli("streams")).toMatchObject({ code: 2, out: "" })
    for (const words of [
      ["help", "journal", "state"],
      ["journal", "state", "-h"]
    ]) {
      expect((await cli(...words)).out).toMatch(/^logbrook journal state ACTOR/)
    }
    expect((await cli("help", "streams")).out).toBe((await cli("streams", "--help")).out)
    expect((await cli("help")).out).toBe((await cli("--help")).out)
  })

  it("is what a clone's `npx logbrook` runs", async () => {
    const { bin: command } = JSON.parse(fs.readFileSync(path.join(bin, "../../package.json"), "utf8")) as {
      readonly bin: { readonly logbrook: string }
    }
    const launcher = path.join(bin, "../..", command.logbrook)
    expect(await versionBy(launcher)).toMatchObject({ code: 0, stdout: Buffer.from("0.1.0\n") })
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-clone-"))
    fs.mkdirSync(path.join(root, "bin"))
    fs.copyFileSync(launcher, path.join(root, "bin/logbrook.cjs"))
    const unbuilt = await versionBy(path.join(root, "bin/logbrook.cjs"))
    expect(unbuilt).toMatchObject({ code: 1, stderr: expect.stringContaining("hint: npm run build") })
    fs.rmSync(root, { recursive: true })
  })

  it("says that a server is no Logbrook, and what no server can be asked for", async () => {
    const server = http.createServer((_request, response) => response.end("<html></html>")).listen(0, "127.0.0.1")
    await once(server, "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    expect(await cli("streams", "list", "--url", url)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^error\[E_HTTP\]: what answers at .* is no Logbrook/)
    })
    for (const name of ["", ".", ".."]) {
      expect(await cli("groups", "describe", name, "--url", url)).toMatchObject({
        code: 2,
        err: expect.stringContaining("cannot be asked for")
      })
    }
    expect(await cli("streams", "create", "x", "--retention", "7", "--url", url)).toMatchObject({
      code: 2,
      err: expect.stringContaining("--retention takes 7d")
    })
    server.close()
  })

  it("says that nobody answers", async () => {
    expect(await cli("streams", "list", "--url", "http://127.0.0.1:9")).toMatchObject({
      code: 5,
      err: expect.stringMatching(/E_UNREACHABLE.*\(bad port\)/)
    })
  })

  it("asks on from --from until it has its lines, however many pages a server needs for them", async () => {
    const asked: Array<string> = []
    const event = {
      time: "2026-01-31T12:00:00.000Z",
      epoch: 1,
      actor: "group/a",
      type: "T",
      version: 1,
      cause: {},
      event: {}
    }
    const server = http.createServer((request, response) => {
      asked.push(request.url!)
      const seq = Number(new URL(request.url!, "http://localhost").searchParams.get("cursor"))
      const data = seq === 1 ? [] : [{ ...event, seq }]
      response.end(JSON.stringify({ data, meta: { cursor: String(seq + 10), hasnext: true } }))
    })
    await once(server.listen(0, "127.0.0.1"), "listening")
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { out } = await cli("journal", "tail", "--from", "1", "--lines", "2", "--type", "T", "--url", url)
    expect(out.split("\n").map((line) => line.split("\t")[0])).toEqual(["11", "21", ""])
    const path = "/api/v1/journal/events?cursor="
    expect(asked).toEqual([`${path}1&limit=2&type=T`, `${path}11&limit=2&type=T`, `${path}21&limit=1&type=T`])
    server.close()
  })

  it("checks a configuration without starting", async () => {
    const { code, err, out } = await cli("config", "check", "--mqtt-port", "x", "--host", "0.0.0.0")
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toContain("mqtt.port: ")
    expect(err).toContain("[--host]")
  })
})
