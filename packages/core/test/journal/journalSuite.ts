import { readFrame, readFrameHead } from "@logbrook/core/journal/Frame"
import type { AppendFailure, Journal, Seq, SnapshotPage } from "@logbrook/core/journal/Journal"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { appended, buildCommit, plainCommit, writtenOk, staged } from "../support/commits.ts"

export interface JournalUnderTest {
  /** The same journal again, as a new process would open it; an implementation in memory gives the same object. */
  readonly open: (segmentBytes: number) => Journal
  readonly cleanUp: () => void
}

export interface SuiteTraits {
  readonly keepsAfterClose: boolean
}

export const framesOf = (journal: Journal, fromSeq: Seq): Array<readonly [first: Seq, next: Seq]> => {
  const found: Array<readonly [Seq, Seq]> = []
  journal.scan(fromSeq, (frame) => {
    const { firstSeq, nextSeq } = readFrameHead(frame)
    found.push([firstSeq, nextSeq])
    return true
  })
  return found
}

const expectDense = (journal: Journal): void => {
  let expected = journal.firstSeq
  for (const [first, next] of framesOf(journal, journal.firstSeq)) {
    expect(first).toBe(expected)
    expected = next
  }
  expect(expected).toBe(journal.nextSeq)
}

const never = 1e12

const page = (seq: Seq): SnapshotPage => ({ seq, bytes: Buffer.from(`page at ${seq}`) })

const writeSnapshot = async (
  journal: Journal,
  fromSeq: Seq,
  pageSeqs: ReadonlyArray<Seq>,
  sealedPages: number | undefined
): Promise<void> => {
  for (const [index, seq] of pageSeqs.entries()) {
    await writtenOk((done) => journal.writePage(fromSeq, index, page(seq), done))
  }
  if (sealedPages !== undefined) await writtenOk((done) => journal.completeSnapshot(fromSeq, sealedPages, done))
}

/** What every journal does, whatever it lies in. */
export const journalSuite = (name: string, make: () => JournalUnderTest, traits: SuiteTraits): void => {
  describe(name, () => {
    let under: JournalUnderTest
    let journal: Journal

    beforeEach(() => {
      under = make()
      journal = under.open(never)
    })

    afterEach(async () => {
      await journal.close()
      under.cleanUp()
    })

    const reopen = async (segmentBytes: number): Promise<void> => {
      if (traits.keepsAfterClose) await journal.close()
      journal = under.open(segmentBytes)
    }

    it("begins empty at seq 1", () => {
      expect([journal.firstSeq, journal.nextSeq, journal.writtenSegmentSeq]).toEqual([1, 1, 1])
      expect(framesOf(journal, 1)).toEqual([])
      expect(journal.snapshot(1000)).toBeUndefined()
      expect(journal.segments()).toHaveLength(1)
    })

    it("gives back frames, chunks and batches as they were appended", async () => {
      const small = Array.from({ length: 20 }, (_, i) => staged(i, i * 10, 2, Buffer.alloc(3000, i)))
      const large = [staged(100, 7, 3, Buffer.alloc(5000, 100)), staged(101, 0, 1, Buffer.alloc(70_000, 101))]
      const first = buildCommit(1, { events: [{ actor: "toy/a", payload: "x" }], records: [...small, ...large] })
      const second = buildCommit(first.commit.nextSeq, { records: [staged(100, 10, 1, Buffer.from("in the frame"))] })
      expect(await appended(journal, first.commit)).toBeUndefined()
      expect(await appended(journal, second.commit)).toBeUndefined()

      expect(journal.frame(1)).toEqual(first.commit.frame)
      expect(journal.frame(2)).toBeUndefined()
      expect(first.commit.chunks.length).toBeGreaterThan(1)
      first.commit.chunks.forEach((chunk, index) => expect(journal.chunk(1, index)).toEqual(chunk))
      expect(journal.chunk(1, first.commit.chunks.length)).toBeUndefined()
      expect(journal.batch(1, 100, 9)).toEqual(Buffer.alloc(5000, 100))
      expect(journal.batch(1, 101, 0)).toEqual(Buffer.alloc(70_000, 101))
      expect(journal.batch(1, 101, 1)).toBeUndefined()
      expect(journal.batch(second.commit.firstSeq, 100, 10)).toBeUndefined()
      const payloads: Array<string> = []
      journal.scan(second.commit.firstSeq, (frame) => {
        readFrame(frame, {
          records: (_seq, ref) => payloads.push(frame.subarray(ref.position, ref.position + ref.byteLength).toString())
        })
        return true
      })
      expect(payloads).toEqual(["in the frame"])
    })

    it("scans from the frame that holds a seq, until told to stop", async () => {
      for (const [first, events] of [
        [1, 3],
        [4, 1],
        [5, 6]
      ] as const) {
        expect(await appended(journal, plainCommit(first, events))).toBeUndefined()
      }
      expect(framesOf(journal, 1)).toEqual([
        [1, 4],
        [4, 5],
        [5, 11]
      ])
      expect(framesOf(journal, 3)).toEqual([
        [1, 4],
        [4, 5],
        [5, 11]
      ])
      expect(framesOf(journal, 4)).toEqual([
        [4, 5],
        [5, 11]
      ])
      expect(framesOf(journal, 10)).toEqual([[5, 11]])
      expect(framesOf(journal, 11)).toEqual([])
      let visits = 0
      journal.scan(1, () => ++visits < 2)
      expect(visits).toBe(2)
    })

    it("settles pipelined commits once each, after the call, in the order of the appends", async () => {
      const settled: Array<Seq> = []
      const count = 200
      const { promise, resolve } = Promise.withResolvers<void>()
      for (let seq = 1; seq <= count; seq++) {
        let isReturned = false
        journal.append(plainCommit(seq, 1, (seq * 977) % 20_000), (failure) => {
          expect(failure).toBeUndefined()
          expect(isReturned).toBe(true)
          expect(journal.nextSeq).toBeGreaterThan(seq)
          settled.push(seq)
          if (seq === count) resolve()
        })
        isReturned = true
      }
      await promise
      expect(settled).toEqual(Array.from({ length: count }, (_, i) => i + 1))
      expectDense(journal)
    })

    it("rolls, keeps seq dense, and finds everything again", async () => {
      await reopen(20_000)
      let seq = 1
      const pending: Array<Promise<AppendFailure | undefined>> = []
      for (let i = 0; i < 60; i++) {
        const { commit } = buildCommit(seq, { records: [staged(1, i, 1, Buffer.alloc(4096 + i, i))] })
        pending.push(appended(journal, commit))
        seq = commit.nextSeq
      }
      expect((await Promise.all(pending)).filter((failure) => failure !== undefined)).toEqual([])
      const segments = journal.segments()
      expect(segments.length).toBeGreaterThan(5)
      segments.slice(1).forEach((segment, i) => expect(segment.firstSeq).toBe(segments[i]!.nextSeq))
      expect(journal.writtenSegmentSeq).toBe(segments.at(-1)!.firstSeq)
      await reopen(20_000)
      expectDense(journal)
      expect(journal.nextSeq).toBe(seq)
      for (let i = 0; i < 60; i++) expect(journal.batch(i + 1, 1, i)).toEqual(Buffer.alloc(4096 + i, i))
      expect(await appended(journal, plainCommit(seq))).toBeUndefined()
      expectDense(journal)
    })

    it("keeps a snapshot's pages and its seal across a roll", async () => {
      await reopen(5000)
      expect(await appended(journal, plainCommit(1, 1, 100))).toBeUndefined()
      expect(await writtenOk((done) => journal.writePage(2, 0, page(2), done))).toBe(true)
      expect(await appended(journal, plainCommit(2, 1, 6000))).toBeUndefined()
      expect(await appended(journal, plainCommit(3, 1, 100))).toBeUndefined()
      expect(await writtenOk((done) => journal.writePage(2, 1, page(4), done))).toBe(true)
      expect(journal.snapshot(1000)).toBeUndefined()
      expect(await writtenOk((done) => journal.completeSnapshot(2, 2, done))).toBe(true)
      expect(journal.segments().length).toBeGreaterThan(1)
      await reopen(5000)
      const found = { fromSeq: 2, pages: [page(2), page(4)] }
      expect(journal.snapshot(1000)).toEqual(found)
      expect(journal.snapshot(4)).toEqual(found)
      // Its second page knows seq 3.
      expect(journal.snapshot(3)).toBeUndefined()
    })

    it("takes the newest complete snapshot that knows nothing from a seq on", async () => {
      for (let seq = 1; seq <= 9; seq++) expect(await appended(journal, plainCommit(seq))).toBeUndefined()
      await writeSnapshot(journal, 2, [2], 1)
      await writeSnapshot(journal, 4, [4, 6], 2)
      // Never sealed, and sealed with a page missing.
      await writeSnapshot(journal, 7, [7], undefined)
      await writeSnapshot(journal, 8, [8], 2)
      const found = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((seq) => journal.snapshot(seq)?.fromSeq)
      expect(found).toEqual([undefined, 2, 2, 2, 2, 4, 4, 4, 4, 4])
    })

    it("gives up the oldest segment only, never the last", async () => {
      await reopen(10_000)
      for (let seq = 1; seq <= 12; seq++) {
        const { commit } = buildCommit(seq, { records: [staged(1, seq, 1, Buffer.alloc(5000, seq))] })
        expect(await appended(journal, commit)).toBeUndefined()
      }
      const [oldest, next] = journal.segments()
      const before = journal.segments().length
      await journal.dropOldest()
      expect(journal.segments()).toHaveLength(before - 1)
      expect(journal.firstSeq).toBe(next!.firstSeq)
      expect(journal.frame(oldest!.firstSeq)).toBeUndefined()
      expect(journal.batch(oldest!.firstSeq, 1, oldest!.firstSeq)).toBeUndefined()
      expect(journal.batch(next!.firstSeq, 1, next!.firstSeq)).toBeDefined()
      expectDense(journal)
      for (let i = 0; i < 20; i++) await journal.dropOldest()
      expect(journal.segments()).toHaveLength(1)
      await reopen(10_000)
      expect(journal.segments()).toHaveLength(1)
      expect(await appended(journal, plainCommit(journal.nextSeq))).toBeUndefined()
      expectDense(journal)
    })

    it("puts no page of a snapshot into a segment that ends where the snapshot begins", async () => {
      await reopen(4000)
      for (let seq = 1; seq <= 3; seq++) expect(await appended(journal, plainCommit(seq, 1, 2500))).toBeUndefined()
      // The second segment's roll is due with the fourth commit.
      for (let seq = 4; journal.segments().length < 3; seq++) {
        await writeSnapshot(journal, seq, [seq], 1)
        if (journal.segments().length < 3) expect(await appended(journal, plainCommit(seq, 1, 2500))).toBeUndefined()
      }
      const fromSeq = journal.snapshot(never)!.fromSeq
      while (journal.segments().length > 1 && journal.segments()[0]!.nextSeq <= fromSeq) await journal.dropOldest()
      expect(journal.snapshot(never)?.fromSeq).toBe(fromSeq)
    })
  })
}
