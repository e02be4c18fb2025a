import type { Extent } from "@logbrook/core/journal/Extent"
import type { Place } from "@logbrook/core/journal/batchRef"
import { LogIndex, type Located } from "@logbrook/core/storage/LogIndex"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const places: ReadonlyArray<Place> = ["frame", "chunk", "value", "run"]

const refs = fc.array(
  fc.record({
    gap: fc.oneof(fc.constant(0), fc.nat(5)),
    count: fc.integer({ min: 1, max: 1000 }),
    firstTimestampMs: fc.integer({ min: -1, max: 2 ** 51 }),
    maxTimestampMs: fc.integer({ min: -1, max: 2 ** 51 }),
    byteLength: fc.integer({ min: 1, max: 2 ** 24 }),
    crc: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    place: fc.constantFrom(...places),
    chunk: fc.nat(65_535),
    position: fc.nat(2 ** 31),
    verbatim: fc.boolean(),
    isCompacted: fc.boolean(),
    epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 })
  }),
  { maxLength: 60 }
)

type Ref = Omit<Located, "frameSeq" | "baseOffset"> & { readonly gap: number }

const fill = (index: LogIndex, puts: ReadonlyArray<Ref>, firstOffset: number): Array<Located> => {
  let baseOffset = firstOffset
  return puts.map(({ gap, ...fields }, i) => {
    baseOffset += gap
    const ref = { logId: 1, baseOffset, producer: undefined, ...fields }
    const frameSeq = 2 ** 33 + i * 3
    if (ref.place === "run") index.addRun(frameSeq, ref)
    else index.add(frameSeq, fields.epoch, ref)
    baseOffset += fields.count
    const isCompacted = fields.isCompacted && ref.place === "run"
    return { frameSeq, baseOffset: ref.baseOffset, ...fields, isCompacted }
  })
}

/** The same questions, asked of a plain list. */
const firstWhere = (model: ReadonlyArray<Located>, holds: (located: Located) => boolean): number => {
  const at = model.findIndex(holds)
  return at < 0 ? model.length : at
}

const batchBytesFrom = (model: ReadonlyArray<Located>, bytesMax: number): number => {
  let bytes = 0
  for (const { place, verbatim, byteLength } of model) {
    if ((!verbatim && (place === "frame" || place === "chunk")) || bytes + byteLength > bytesMax) break
    bytes += byteLength
  }
  return bytes
}

const check = (index: LogIndex, model: ReadonlyArray<Located>, probe: number): void => {
  expect(index.count).toBe(model.length)
  expect(model.map((_, i) => index.at(i))).toEqual(model)
  expect(index.byteLength).toBe(model.reduce((sum, { byteLength }) => sum + byteLength, 0))
  const last = model.at(-1)
  expect(index.endOffset).toBe(last === undefined ? 0 : last.baseOffset + last.count)
  for (const offset of [
    probe,
    ...model.flatMap((l) => [l.baseOffset, l.baseOffset + l.count - 1, l.baseOffset + l.count])
  ]) {
    expect(index.find(offset)).toBe(firstWhere(model, (l) => l.baseOffset + l.count > offset))
  }
  for (const timeMs of [-1, 2 ** 52, ...model.map((l) => l.maxTimestampMs)]) {
    expect(index.findTimestamp(timeMs)).toBe(firstWhere(model, (l) => l.maxTimestampMs >= timeMs))
  }
  for (const bytesMax of [0, 500, 1e9]) {
    expect(model.map((_, from) => index.batchBytesFrom(from, bytesMax))).toEqual(
      model.map((_, from) => batchBytesFrom(model.slice(from), bytesMax))
    )
  }
  const highest = Math.max(...model.map((l) => l.maxTimestampMs))
  expect(index.findMaxTimestamp(0)).toBe(model.findIndex((l) => l.maxTimestampMs === highest))
}

const of = (byteLength: number): Ref => ({
  gap: 0,
  count: 1,
  firstTimestampMs: 0,
  maxTimestampMs: 0,
  byteLength,
  crc: 0,
  place: "frame",
  chunk: 0,
  position: 0,
  verbatim: false,
  isCompacted: false,
  epoch: 1
})

describe("LogIndex", () => {
  it("answers as a plain list does, also after its beginning was dropped and more was added", () => {
    fc.assert(
      fc.property(refs, refs, fc.nat(40_000), fc.nat(2 ** 40), (before, after, dropBelow, firstOffset) => {
        const index = new LogIndex()
        let model = fill(index, before, firstOffset)
        check(index, model, firstOffset + dropBelow)
        const start = firstOffset + dropBelow
        index.dropBelow(start)
        model = model.filter((l) => l.baseOffset + l.count > start)
        check(index, model, start)
        const last = model.at(-1)
        model.push(...fill(index, after, last === undefined ? start : last.baseOffset + last.count))
        check(index, model, start)
      }),
      { numRuns: 200 }
    )
  })

  it("knows what was checked, but of a segment that was settled: its runs are other bytes", () => {
    const index = new LogIndex()
    // Of commits 1 to 20, and with chunks so high that a bit of theirs beside those of the flags would be seen.
    for (let seq = 1; seq <= 20; seq++) {
      const ref = { ...of(10), logId: 1, producer: undefined, baseOffset: seq - 1, chunk: 2 ** 20, isCompacted: false }
      index.add(seq, 1, ref)
    }
    const checked = () => Array.from({ length: index.count }, (_, i) => i).filter((i) => index.isChecked(i))
    expect(checked()).toEqual([])
    for (const i of [3, 8, 19]) index.noteChecked(i)
    index.noteChecked(8)
    expect(checked()).toEqual([3, 8, 19])
    expect(index.at(8)).toMatchObject({ chunk: 2 ** 20, place: "frame", verbatim: false, isCompacted: false })
    index.dropBelow(2)
    expect(checked()).toEqual([1, 6, 17])
    const run = { ...of(50), logId: 1, producer: undefined, baseOffset: 5, count: 5, place: "run", epoch: 1 } as const
    index.replace(6, 11, [{ ...run, isCompacted: false }])
    expect(checked()).toEqual([1, 13])
  })

  it("finds the first of those with the highest time", () => {
    const index = new LogIndex()
    const times = [3000, 9000, 5000, 9000]
    const refs = times.map((ms) => ({ ...of(100), firstTimestampMs: ms, maxTimestampMs: ms }))
    fill(index, refs, 0)
    expect([0, 1, 2].map((from) => index.findMaxTimestamp(from))).toEqual([1, 1, 3])
    expect(index.findMaxTimestamp(4)).toBe(-1)
  })

  it("gives up the oldest for as long as the wanted bytes remain", () => {
    const index = new LogIndex()
    fill(index, [of(100), of(50), of(70)], 0)
    expect([0, 69, 70, 71, 119, 120, 121, 220, 1000].map((bytes) => index.findByBytesFromEnd(bytes))).toEqual([
      3, 2, 2, 1, 1, 1, 0, 0, 0
    ])
  })

  it("finds what has not expired, and takes the commit's time for references without times", () => {
    const index = new LogIndex()
    const refs = [-1, 5, -1, 8, 6, -1].map((maxTimestampMs) => ({
      ...of(10),
      maxTimestampMs,
      firstTimestampMs: maxTimestampMs
    }))
    fill(index, refs, 0)
    const at = (writtenMs: number) => [0, 5, 6, 8, 9].map((timeMs) => index.findUnexpired(timeMs, () => writtenMs))
    expect(at(7)).toEqual([0, 0, 0, 3, 6])
    expect(at(0)).toEqual([0, 1, 3, 3, 6])
  })

  it("takes the runs of a segment, more or fewer than there were, in the middle of others", () => {
    const runs = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 })
    fc.assert(
      fc.property(runs, runs, runs, runs, (before, old, after, fresh) => {
        const index = new LogIndex()
        const model: Array<Located> = []
        let baseOffset = 0
        const extents = (counts: ReadonlyArray<number>, epoch: number): ReadonlyArray<Extent> =>
          counts.map((count) => {
            const fields = { ...of(100), count, epoch, place: "run" as const, isCompacted: true, producer: undefined }
            const extent = { logId: 1, baseOffset, ...fields }
            baseOffset += count
            return extent
          })
        const segments = [before, old, after].map((counts) => extents(counts, 1))
        segments.forEach((each, segment) => each.forEach((extent) => index.addRun(10 * segment, extent)))
        baseOffset = before.reduce((sum, count) => sum + count, 0)
        const replacing = extents(fresh, 2)
        expect(index.replace(10, 20, replacing)).toBe(old.length)
        for (const [segment, each] of [segments[0]!, replacing, segments[2]!].entries()) {
          model.push(...each.map((extent) => ({ frameSeq: 10 * segment, ...extent })))
        }
        expect(model.map((_, i) => ({ ...model[i], ...index.at(i) }))).toEqual(model)
        expect([index.count, index.byteLength]).toEqual([model.length, 100 * model.length])
      })
    )
  })

  it("tells what a compaction may clean: what is closed and old enough, of some segments at a time", () => {
    const index = new LogIndex()
    let baseOffset = 0
    const put = (segment: number, isCompacted: boolean, maxTimestampMs: number): void => {
      const run = { ...of(100), count: 10, maxTimestampMs, firstTimestampMs: maxTimestampMs - 5 }
      index.addRun(segment, { logId: 1, producer: undefined, ...run, baseOffset, place: "run", isCompacted })
      baseOffset += 10
    }
    for (const segment of [1, 1, 2]) put(segment, true, 900)
    for (const segment of [2, 3, 3, 4, 5, 6]) put(segment, false, 10 * segment)
    index.add(70, 1, { logId: 1, producer: undefined, ...of(100), baseOffset })
    const clean = { dirtyFrom: 30, cleanBytes: 300, dirtySinceMs: 15 }
    // Two segments have clean runs, so two more may be cleaned at once beside what is dirty in those.
    expect(index.compactable(1000, 1)).toEqual({
      ...clean,
      cleanTo: 70,
      dirtyBytes: 400,
      laterBytes: 200,
      segments: [1, 2, 3, 4]
    })
    expect(index.compactable(1000, 3)).toMatchObject({ cleanTo: 80, dirtyBytes: 500, laterBytes: 100 })
    expect(index.compactable(30, 9)).toMatchObject({ cleanTo: 60, dirtyBytes: 300, laterBytes: 0, segments: [1, 2, 3] })
    expect(index.compactable(0, 9)).toMatchObject({ dirtyFrom: undefined, cleanTo: 30, dirtyBytes: 0 })
    expect(new LogIndex().compactable(0, 9)).toMatchObject({ dirtyFrom: undefined, cleanTo: 0, segments: [] })
  })
})
