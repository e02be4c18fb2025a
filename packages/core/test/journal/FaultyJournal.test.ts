import { FaultyJournal, type Fault } from "@logbrook/core/journal/FaultyJournal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { beforeEach, describe, expect, it } from "vitest"
import { plainCommit } from "../support/commits.ts"
import { TestClock } from "../support/TestClock.ts"

describe("FaultyJournal", () => {
  let clock: TestClock
  let inner: MemoryJournal
  let settled: Array<string>

  beforeEach(() => {
    clock = new TestClock()
    inner = new MemoryJournal(clock)
    settled = []
  })

  const journalWith = (faults: Readonly<Record<number, Fault>>): FaultyJournal =>
    new FaultyJournal(inner, clock, (commit) => faults[commit])

  const append = (journal: FaultyJournal, seq: number): void =>
    journal.append(plainCommit(seq), (failure) => settled.push(`${seq} ${failure?.reason ?? "ok"}`))

  const page = { seq: 1, bytes: Buffer.from("page") }

  it("delays one acknowledgement and those behind it, in order", () => {
    const journal = journalWith({ 2: { _tag: "Delay", ms: 50 } })
    append(journal, 1)
    clock.runTurns()
    expect(settled).toEqual(["1 ok"])
    append(journal, 2)
    append(journal, 3)
    journal.writePage(4, 0, page, (ok) => settled.push(`page ${ok}`))
    clock.advance(49)
    expect(settled).toEqual(["1 ok"])
    // It is on disk all the same, only nobody knows.
    expect(inner.nextSeq).toBe(4)
    clock.advance(1)
    expect(settled).toEqual(["1 ok", "2 ok", "3 ok", "page true"])
    append(journal, 4)
    clock.runTurns()
    expect(settled.at(-1)).toBe("4 ok")
  })

  it("refuses one commit and all behind it, never before those in front of it", () => {
    const journal = journalWith({ 1: { _tag: "Delay", ms: 50 }, 2: { _tag: "Refuse", detail: "ENOSPC" } })
    append(journal, 1)
    append(journal, 2)
    append(journal, 3)
    journal.writePage(4, 0, page, (ok) => settled.push(`page ${ok}`))
    journal.completeSnapshot(4, 1, (ok) => settled.push(`seal ${ok}`))
    clock.advance(49)
    expect(settled).toEqual([])
    clock.advance(1)
    expect(settled).toEqual(["1 ok", "2 Unavailable", "3 Unavailable", "page false", "seal false"])
    expect(inner.nextSeq).toBe(2)
  })

  it.each<[Fault["_tag"] & `Crash${string}`, number]>([
    ["CrashBefore", 2],
    ["CrashWithin", 2],
    ["CrashAfter", 3]
  ])("%s: nothing settles any more, and the journal ends at seq %i", (_tag, nextSeq) => {
    const journal = journalWith({ 2: { _tag } })
    append(journal, 1)
    append(journal, 2)
    append(journal, 3)
    journal.writePage(4, 0, page, () => settled.push("page"))
    clock.advance(1000)
    expect(journal.crashed).toBe(true)
    expect(settled).toEqual([])
    expect(inner.nextSeq).toBe(nextSeq)
  })
})
