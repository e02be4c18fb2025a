import { choose, type Candidate } from "@logbrook/core/settle/choose"
import { describe, expect, it } from "vitest"

const limits = { segmentBytes: 1000, freedBytesMin: 40 }

/** `bytes/live`, `u`: not settled, `x`: given up; their first seqs are 1, 2, 3, ... */
const closed = (text: string): ReadonlyArray<Candidate> =>
  text.split(" ").flatMap((each, i) => {
    const match = /^(\d+)\/(\d+)(u?)(x?)$/.exec(each)
    if (match === null) return []
    const [, bytes, liveBytes, unsettled, givenUp] = match
    return [
      {
        firstSeq: i + 1,
        bytes: Number(bytes),
        liveBytes: Number(liveBytes),
        isSettled: unsettled === "",
        isGivenUp: givenUp !== ""
      }
    ]
  })

describe("what is done next with closed segments", () => {
  it.each([
    ["nothing where there are none", "", "nothing"],
    ["the oldest that is not settled, before all others", "500/10 1000/1000u 1000/1000u", "settle 2"],
    ["not what was given up", "1000/1000ux 500/500", "nothing"],
    ["half dead: rewritten", "500/250", "rewrite 1"],
    ["more than half alive: not", "500/251", "nothing"],
    ["the one with the largest dead share", "500/200 500/100 500/150", "rewrite 2"],
    ["not for a few bytes", "70/31", "nothing"],
    ["not what was given up", "500/10x 900/900", "nothing"],
    ["small neighbours", "100/100 100/100", "merge 1,2"],
    ["as many as are half a segment together", "100/100 100/100 100/100 100/100 100/100 100/100", "merge 1,2,3,4,5"],
    ["not more than half a segment", "260/260 260/260", "nothing"],
    ["what remains counts, not what is there", "300/200 300/200 150/100", "merge 1,2,3"],
    ["none that is more than half of them together", "400/400 50/50 900/900", "nothing"],
    ["neighbours of such a one", "400/400 50/50 50/50", "merge 2,3"],
    ["adjacent ones only", "100/100 900/900 100/100", "nothing"],
    ["not across one that is not settled", "100/100 100/100ux 100/100", "nothing"],
    ["not across one that was given up", "100/100 100/100x 100/100", "nothing"],
    ["two of nothing at all", "30/0 30/0", "merge 1,2"]
  ])("%s", (_what, segments, expected) => {
    const work = choose(closed(segments), limits)
    expect(work === undefined ? "nothing" : `${work.kind} ${work.firstSeqs.join(",")}`).toBe(expected)
  })

  it("no more than 32 files at a time", () => {
    expect(choose(closed(Array.from({ length: 50 }, () => "4/4").join(" ")), limits)?.firstSeqs).toHaveLength(32)
  })

  it("bytes are written again a few times only, however small they come", () => {
    let segments: Array<Candidate> = []
    let written = 0
    const files = 400
    for (let i = 1; i <= files; i++) {
      segments.push({ firstSeq: i, bytes: 2, liveBytes: 2, isSettled: true, isGivenUp: false })
      for (let work = choose(segments, limits); work !== undefined; work = choose(segments, limits)) {
        const { firstSeqs } = work
        const sources = segments.filter(({ firstSeq }) => firstSeqs.includes(firstSeq))
        const liveBytes = sources.reduce((sum, each) => sum + each.liveBytes, 0)
        written += liveBytes
        const merged = { ...sources[0]!, bytes: liveBytes, liveBytes }
        segments = segments.flatMap((each) => (each === sources[0] ? [merged] : sources.includes(each) ? [] : [each]))
      }
    }
    // From 2 bytes to 500: each merge doubles at least.
    expect(written / (2 * files)).toBeLessThan(8)
    expect(segments.length).toBeLessThan(12)
  })
})
