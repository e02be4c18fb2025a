import { chainOf, holderOf, parseSegmentName, segmentName } from "@logbrook/core/journal/segmentNames"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const names = (found: ReadonlyArray<{ readonly name: string }>): ReadonlyArray<string> => found.map(({ name }) => name)

describe("a segment's name", () => {
  it("tells its numbers and its revision", () => {
    expect(parseSegmentName("seg-00000007.mdb")).toMatchObject({ number: 7, lastNumber: 7, revision: 0 })
    expect(parseSegmentName("seg-00000007.runs.mdb")).toMatchObject({ number: 7, lastNumber: 7, revision: 1 })
    expect(parseSegmentName("seg-00000007.runs-12.mdb")).toMatchObject({ number: 7, lastNumber: 7, revision: 12 })
    const merged = { number: 7, lastNumber: 9, revision: 2 }
    expect(parseSegmentName("seg-00000007-00000009.runs-2.mdb")).toMatchObject(merged)
  })

  it.each([
    "seg-7.mdb",
    "seg-00000007.mdb-lock",
    "seg-00000007.runs.tmp",
    "seg-00000007.runs-1.mdb",
    "seg-00000007.runs-02.mdb",
    "seg-00000007.runs-0.mdb",
    "seg-00000009-00000007.runs-2.mdb",
    "seg-00000007-00000007.runs-2.mdb",
    "xseg-00000007.mdb"
  ])("is not %s", (name) => {
    expect(parseSegmentName(name)).toBeUndefined()
  })

  it("is read as it was made", () => {
    const made = fc.tuple(fc.integer({ min: 1, max: 99_999_999 }), fc.nat(50), fc.nat(1000))
    fc.assert(
      fc.property(made, ([number, more, revision]) => {
        const name = segmentName(number, Math.min(number + more, 99_999_999), revision)
        expect(parseSegmentName(name.name)).toEqual(name)
      })
    )
  })
})

/** `1.runs` for `seg-00000001.runs.mdb`. */
const spelt = (text: string): Array<string> =>
  text === ""
    ? []
    : text.split(" ").map((each) => {
        const [numbers, ...rest] = each.split(".")
        if (!/^[\d-]+$/.test(numbers!)) return each
        const long = numbers!.split("-").map((number) => number.padStart(8, "0"))
        return ["seg-" + long.join("-"), ...rest, "mdb"].join(".")
      })

describe("what counts of a directory's files", () => {
  it.each([
    ["originals, in the order of numbers", "2 1", "1 2", ""],
    ["the settled one, not the original", "1 1.runs 2", "1.runs 2", "1"],
    ["the highest revision", "1.runs-10 1.runs-9 1.runs 1", "1.runs-10", "1.runs-9 1.runs 1"],
    ["what was merged, not its sources", "1.runs 1-3.runs-2 2.runs-7 3 4", "1-3.runs-2 4", "1.runs 2.runs-7 3"],
    ["what was merged once more", "1-2.runs-3 1-4.runs-4 3-4.runs-9", "1-4.runs-4", "1-2.runs-3 3-4.runs-9"],
    ["what was merged and rewritten", "1-3.runs-3 1-3.runs-2 4", "1-3.runs-3 4", "1-3.runs-2"],
    ["others, which are none", "1 lock x.mdb", "1", ""]
  ])("%s", (_what, files, live, superseded) => {
    const found = chainOf(spelt(files))
    expect([names(found.live), names(found.superseded)]).toEqual([spelt(live), spelt(superseded)])
  })

  it("is found by the name of what it replaced", () => {
    const files = ["seg-00000001-00000003.runs-2.mdb", "seg-00000002.runs.mdb", "seg-00000004.mdb"]
    expect(holderOf(files, "seg-00000002.mdb")?.name).toBe(files[0])
    expect(holderOf(files, "seg-00000004.mdb")?.name).toBe(files[2])
    expect(holderOf(files, "seg-00000005.mdb")).toBeUndefined()
    expect(holderOf(files, "lock")).toBeUndefined()
  })
})
