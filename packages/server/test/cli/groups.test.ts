import { GroupKind } from "@logbrook/actors/group/GroupProtocol"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { defaultLimits } from "@logbrook/core/Limits"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { Replay } from "@logbrook/core/shard/Replay"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { definitions } from "../../src/Broker.ts"
import { ShardHarness } from "../tools/ShardHarness.ts"
import { answering, run } from "./support.ts"

const summary = { group: "g", state: "Stable", members: 1, lag: null, knownLag: 120, lost: 68, unknownPartitions: 1 }
const details = {
  protocol: "range",
  leader: "m-1",
  emptySince: null,
  pendingMembers: ["p-1"],
  members: [
    {
      memberId: "m-1",
      groupInstanceId: "i-1",
      clientId: "c",
      clientHost: "/127.0.0.1",
      sessionTimeoutMs: 45_000,
      rebalanceTimeoutMs: 300_000,
      waitedFor: "sync",
      partitions: ["orders-0"]
    }
  ]
}
const offsets = [
  { stream: "orders", partition: 0, offset: 2, logStartOffset: 70, highWatermark: 190, lag: 120, lost: 68 },
  { stream: "orders", partition: 1, offset: -2, logStartOffset: 0, highWatermark: 5, lag: null, lost: null }
]

/** The cells of the line that begins with these; off a terminal they are a tab apart. */
const cells = (lines: ReadonlyArray<string>, ...begin: ReadonlyArray<string>): ReadonlyArray<string> | undefined =>
  lines.map((line) => line.split("\t")).find((found) => begin.every((cell, i) => found[i] === cell))

describe("groups of a server", () => {
  it("are listed with what is lost and what is not known", async () => {
    const { url, close } = await answering({ data: [summary], meta: { cursor: null, hasnext: false } })
    const { out } = await run(["groups", "list", "--url", url])
    expect(cells(out, "g")).toEqual(["g", "Stable", "1", "120, 1 partition unknown", "68"])
    close()
  })

  it("are described with all that a rebalance waits for", async () => {
    const { url, close } = await answering({ ...summary, generation: 3, details, offsets })
    const { out } = await run(["groups", "describe", "g", "--url", url])
    expect(out.join("\n")).toContain("given an id and not joined yet")
    expect(out.join("\n")).toContain("p-1")
    expect(cells(out, "MEMBER")).toEqual([
      "MEMBER",
      "CLIENT",
      "HOST",
      "SESSION",
      "REBALANCE",
      "WAITED FOR",
      "PARTITIONS"
    ])
    expect(cells(out, "m-1 (static i-1)")).toEqual([
      "m-1 (static i-1)",
      "c",
      "/127.0.0.1",
      "45s",
      "5m",
      "sync",
      "orders-0"
    ])
    expect(cells(out, "orders", "0")).toEqual(["orders", "0", "2", "70", "190", "120", "68"])
    expect(cells(out, "orders", "1")).toEqual(["orders", "1", "-2", "0", "5", "unknown", "unknown"])
    close()
  })

  it("are deleted by patterns, and where none matches nothing is", async () => {
    const groups = ["test-1", "prod", "test-", "a.b", "axb", "contest-1"].map((group) => ({ ...summary, group }))
    const server = await answering({ data: groups, meta: { cursor: null, hasnext: false }, offsets: 2 })
    const remove = (...words: ReadonlyArray<string>) =>
      run(["groups", "delete", "--pattern", ...words, "--yes", "--url", server.url])
    expect(await remove("test-*", "a.b")).toMatchObject({
      code: 0,
      out: ["deleted test-1 (2 offsets)", "deleted test- (2 offsets)", "deleted a.b (2 offsets)"]
    })
    expect(server.asked.filter((each) => each.startsWith("DELETE"))).toEqual([
      "DELETE /api/v1/groups/test-1",
      "DELETE /api/v1/groups/test-",
      "DELETE /api/v1/groups/a.b"
    ])
    const { code, err } = await remove("none-*")
    expect([code, err[0]]).toEqual([3, "error[E_UNKNOWN_GROUP]: no group is named as none-*"])
    expect(server.asked.filter((each) => each.startsWith("DELETE"))).toHaveLength(3)
    server.close()
  })

  it("are deleted one by one, once somebody agrees", async () => {
    const { url, asked, close } = await answering({ offsets: 2 })
    expect((await run(["groups", "delete", "a", "b/c", "--url", url])).err[0]).toContain("E_CONFIRM")
    expect(await run(["groups", "delete", "--yes"])).toMatchObject({ code: 2 })
    expect(await run(["groups", "delete", "a", "--yes", "--force", "--url", url])).toMatchObject({ code: 2 })
    expect(asked).toEqual([])
    const { code, out } = await run(["groups", "delete", "a", "b/c", "a", "--yes", "--url", url])
    expect({ code, out }).toEqual({ code: 0, out: ["deleted a (2 offsets)", "deleted b/c (2 offsets)"] })
    expect(asked).toEqual(["DELETE /api/v1/groups/a", "DELETE /api/v1/groups/b%2Fc"])
    close()
  })
})

describe("a reset of a group's offsets", () => {
  const planned = {
    group: "g",
    validateOnly: true,
    offsets: [
      { stream: "orders", partition: 0, before: 40, after: 10, logStartOffset: 10, highWatermark: 190 },
      { stream: "orders", partition: 1, before: null, after: 0, logStartOffset: 0, highWatermark: 5 }
    ]
  }

  it("is shown first, and made once somebody agrees", async () => {
    const { url, asked, bodies, close } = await answering(planned)
    const words = ["groups", "reset", "g", "--to", "earliest", "--stream", "orders:0", "--stream", "other"]
    words.push("--stream", "orders:1,0", "--stream", "other:0")
    const shown = [
      "STREAM\tPARTITION\tOFFSET\tNEW\tCHANGE\tLAG",
      "orders\t0\t40\t10\t-30\t180",
      "orders\t1\t-\t0\tnew\t5"
    ]
    const body = { to: "earliest", streams: [{ name: "orders", partitions: [0, 1] }, { name: "other" }] }
    const preview = { ...body, validateOnly: true }
    expect(await run([...words, "--dry-run", "--url", url])).toEqual({ code: 0, out: shown, err: [] })
    const asked1 = await run([...words, "--url", url])
    expect(asked1).toMatchObject({ code: 2, out: shown })
    expect(asked1.err[0]).toContain("E_CONFIRM")
    expect(bodies).toEqual([preview, preview])
    const { code, out } = await run([...words, "--yes", "--url", url])
    expect({ code, out }).toEqual({ code: 0, out: [...shown, "reset 2 offsets of g"] })
    expect(bodies.slice(2)).toEqual([preview, { ...body, validateOnly: false }])
    expect(new Set(asked)).toEqual(new Set(["POST /api/v1/groups/g/reset-offsets"]))
    close()
  })

  it.each([
    [["--by=-100"], { by: -100 }],
    [["--by", "5"], { by: 5 }],
    [["--to", "7"], { to: "7" }],
    [["--to", "2026-01-31 12:00:00Z"], { to: "2026-01-31T12:00:00.000Z" }]
  ])("is asked for by %j", async (words, body) => {
    const { url, bodies, close } = await answering(planned)
    await run(["groups", "reset", "g", ...words, "--dry-run", "--json", "--url", url])
    expect(bodies).toEqual([{ ...body, validateOnly: true }])
    close()
  })

  it.each([
    [[], "either --to or --by"],
    [["--to", "earliest", "--by", "1"], "either --to or --by"],
    [["--to", "soon"], "--to takes earliest, latest, an offset"],
    [["--by", "1.5"], "--by takes a number of records"],
    [["--to", "0", "--stream", "orders:x"], "--stream takes NAME or NAME:PARTITION"]
  ])("is not asked for by %j", async (words, message) => {
    const { code, err } = await run(["groups", "reset", "g", ...words])
    expect(code).toBe(2)
    expect(err[0]).toContain(message)
  })
})

describe("groups of a data directory", () => {
  let directory: string
  let journal: LmdbJournal

  const open = (): LmdbJournal =>
    LmdbJournal.open({ directory, segmentBytes: defaultLimits.segmentBytesMax, segmentRefsMax: 1e6 })

  /** Three groups with offsets, one of them without a name, and one whose members were rebalancing when all ended. */
  beforeEach(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-groups-"))
    journal = open()
    const harness = new ShardHarness(journal)
    await harness.createStream("orders", [], 2)
    for (const name of ["a", "b", ""]) await harness.commitOffset(name, "orders", 0, 7)
    await harness.commitOffset("b", "orders", 1, 8)
    await harness.join("busy", "m-1")
    void harness.join("busy", "m-2")
    await harness.commitOffset("a", "orders", 1, 9)
    await harness.shard.drained()
    harness.shard.stop()
    await journal.close()
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  const listed = async (): Promise<ReadonlyArray<readonly [string, number, number]>> => {
    const { out } = await run(["groups", "list", "--data-dir", directory, "--json"])
    const groups = JSON.parse(out.join("\n")) as ReadonlyArray<{
      group: string
      members: number
      committedOffsets: number
    }>
    return groups.map(({ group, members, committedOffsets }) => [group, members, committedOffsets] as const).toSorted()
  }

  const remove = (...words: ReadonlyArray<string>) =>
    run(["groups", "delete", ...words, "--yes", "--data-dir", directory])

  it("are listed, and deleted in one commit that a replay and a start find", async () => {
    expect(await listed()).toEqual([
      ["", 0, 1],
      ["a", 0, 2],
      ["b", 0, 2],
      ["busy", 2, 0]
    ])
    expect(await remove("a", "")).toMatchObject({ code: 0, out: ["deleted a (2 offsets)", "deleted  (1 offset)"] })
    expect(await listed()).toEqual([
      ["b", 0, 2],
      ["busy", 2, 0]
    ])
    const { out } = await run(["journal", "tail", "--data-dir", directory, "--type", "GroupDeleted", "--json"])
    expect(out.map((line) => JSON.parse(line))).toMatchObject([
      { actor: "group/a", cause: { origin: "cli groups delete" }, epoch: 1 },
      { actor: "group/", epoch: 1 }
    ])
    expect(await run(["journal", "verify", "--data-dir", directory])).toMatchObject({ code: 0 })
    journal = open()
    const { shard } = new ShardHarness(journal)
    expect(shard.epoch).toBe(2)
    const left = shard.actors.ofKind(GroupKind).filter((id) => shard.actors.saved(id) !== undefined)
    expect(left.toSorted()).toEqual(["group/b", "group/busy"])
    await shard.drained()
    shard.stop()
    await journal.close()
  })

  it("are deleted by patterns, which leave others alone", async () => {
    // Not "busy", which had members: all or none would be deleted.
    expect(await remove("--pattern", "*b")).toMatchObject({ code: 0, out: ["deleted b (2 offsets)"] })
    expect(await listed()).toEqual([
      ["", 0, 1],
      ["a", 0, 2],
      ["busy", 2, 0]
    ])
  })

  it("are all kept when one of them is unknown, or had members", async () => {
    expect(await remove("a", "nobody")).toMatchObject({ code: 3, out: [] })
    const busy = await remove("a", "busy")
    expect(busy).toMatchObject({ code: 1, out: [] })
    expect(busy.err[0]).toContain("E_GROUP_HAS_MEMBERS")
    expect((await listed()).length).toBe(4)
    expect(await remove("a", "busy", "--force")).toMatchObject({
      code: 0,
      out: ["deleted a (2 offsets)", "deleted busy (0 offsets)"]
    })
    expect((await listed()).map(([name]) => name)).toEqual(["", "b"])
    journal = open()
    const mismatches: Array<unknown> = []
    new Replay(definitions(defaultLimits), { onMismatch: (found) => mismatches.push(found) }).run(journal)
    expect(mismatches).toEqual([])
    await journal.close()
  })

  it("are not touched while a server runs, nor where there is no journal", async () => {
    journal = open()
    const { code, err } = await remove("a")
    expect({ code, err: err[0] }).toEqual({ code: 1, err: expect.stringContaining("E_JOURNAL_LOCKED") })
    await journal.close()
    expect((await listed()).length).toBe(4)
    const nowhere = await run(["groups", "delete", "a", "--yes", "--data-dir", `${directory}/nowhere`])
    expect(nowhere).toMatchObject({ code: 3 })
    expect(fs.existsSync(`${directory}/nowhere`)).toBe(false)
  })
})
