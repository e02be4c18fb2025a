import * as fs from "node:fs"
import * as path from "node:path"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { expect, it } from "vitest"
import { unpackDirectory } from "../../../core/test/golden/pack.ts"
import { temporaryDirectory } from "../../../core/test/support/temporary.ts"
import { pastOf } from "../../src/tools/journalTools.ts"
import { contentsOf, hashesOf } from "./contents.ts"
import { fill, goldenActors, Life, openJournal } from "./life.ts"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { Replay } from "@logbrook/core/shard/Replay"
import { verifyJournal } from "../support/toolsAtOnce.ts"

const here = import.meta.dirname
const golden = fs.readdirSync(here).filter((name) => name.endsWith(".gz"))

const unpacked = (name: string): string => {
  const directory = temporaryDirectory()
  unpackDirectory(fs.readFileSync(path.join(here, name)), directory)
  return directory
}

const verified = async (directory: string) => {
  const journal = openJournal(directory)
  const result = verifyJournal(pastOf(journal, goldenActors), () => undefined)
  await journal.close()
  return result
}

it.each(golden)("the states in %s are what they were, from the snapshot and from the start", async (name) => {
  const directory = unpacked(name)
  const expected = fs
    .readFileSync(path.join(here, name.replace(".gz", ".txt")), "utf8")
    .trimEnd()
    .split("\n")
  expect(await contentsOf(directory, false)).toEqual(expected)
  // From the start also what was forgotten.
  const whole = await contentsOf(directory, true)
  expect(whole.filter((line) => !line.startsWith("group/over"))).toEqual(expected)
  const [fromSnapshot, fromStart] = [await hashesOf(directory, false), await hashesOf(directory, true)]
  for (const [id, hash] of fromSnapshot) expect([id, hash]).toEqual([id, fromStart.get(id)])
  const { findings } = await diagnose({ directory, definitions: goldenActors, pause: () => undefined })
  expect(findings).toEqual([])
})

it.each(golden)("%s verifies, also after a server of today has gone on with it", async (name) => {
  const directory = unpacked(name)
  const before = await verified(directory)
  expect(before).toMatchObject({ ok: true, failure: null })
  // Groups have been saved in another shape since the first one, sessions since the second, the third and the fourth.
  expect(before.uncomparedHashes > 0).toBe(name !== "states-5.gz")
  const life = new Life(directory)
  await fill(life, 60)
  await life.commit("simple", "", -1, 300)
  await life.end()
  const after = await verified(directory)
  expect(after).toMatchObject({ ok: true, failure: null, uncomparedHashes: before.uncomparedHashes })
  expect(after.hashes).toBeGreaterThan(before.hashes)
  expect(await contentsOf(directory, false)).toContainEqual(expect.stringContaining('"offset":301'))
})

it("a server that knew of no mount points refuses a journal whose sessions may have one", async () => {
  const journal = openJournal(unpacked("states-5.gz"))
  const readBy = (of: Partial<AnyDefinition>, fromStart: boolean) => {
    const older = goldenActors.map((each) => (each.kind === "session" ? { ...each, ...of } : each))
    return () => new Replay(older, { fromStart }).run(journal)
  }
  expect(readBy({ version: 1 }, true)).toThrow("version 2")
  expect(readBy({ stateVersion: 2 }, false)).toThrow("version 4")
  expect(readBy({}, true)().states.size).toBeGreaterThan(0)
  await journal.close()
})
