import * as fs from "node:fs"
import * as path from "node:path"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { segmentFormat } from "@logbrook/core/journal/LmdbSegment"
import { expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { contentsOf, goldenDefinitions } from "./contents.ts"
import { unpackDirectory } from "./pack.ts"

const here = import.meta.dirname
const golden = fs.readdirSync(here).filter((name) => name.endsWith(".gz"))

it("there is a golden directory of this format", () => {
  expect(golden).toContain(`format-${segmentFormat}.gz`)
})

it.each(golden)("%s is read as it was written, and is whole", async (name) => {
  const directory = temporaryDirectory()
  unpackDirectory(fs.readFileSync(path.join(here, name)), directory)
  const expected = fs.readFileSync(path.join(here, name.replace(".gz", ".txt")), "utf8")
  const { findings, segments, records } = await diagnose({
    directory,
    definitions: goldenDefinitions,
    pause: () => undefined
  })
  expect(findings).toEqual([])
  expect(segments).toBeGreaterThan(2)
  expect(records).toBeGreaterThan(100)
  expect(`${contentsOf(directory).join("\n")}\n`).toBe(expected)
  // Each kind of place, and what a producer sends.
  for (const sign of [
    '"place":"frame"',
    '"place":"chunk"',
    '"place":"value"',
    '"verbatim":true',
    " hash ",
    "kafka producer"
  ]) {
    expect(expected).toContain(sign)
  }
  expect(expected).toMatch(/^snapshot [1-9]/m)
  // What was settled, rewritten and merged, and has lost its first events; known since format 3.
  const isMerged = /^segment seg-00000001-\d{8}\.runs-\d+\.mdb 1 \d+$/m.test(expected)
  const beginsLater = /^(\d+)/m.exec(expected)?.[1] !== "1"
  expect([isMerged, beginsLater]).toEqual(name === "format-2.gz" ? [false, false] : [true, true])
})
