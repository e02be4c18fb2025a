import { BufferPool } from "@logbrook/core/BufferPool"
import { systemClock } from "@logbrook/core/Clock"
import { readFrame } from "@logbrook/core/journal/Frame"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { Log } from "@logbrook/core/storage/Log"
import { LogReader } from "@logbrook/core/storage/LogReader"
import { Tail } from "@logbrook/core/storage/Tail"
import { expect, it } from "vitest"
import { appended, buildCommit, encodeRecords, staged } from "../support/commits.ts"

const logId = 5

it("merges records of the server's own up to a gap of offsets, and no further", async () => {
  const journal = new MemoryJournal(systemClock, 1e9)
  const log = new Log(logId)
  for (const baseOffset of [0, 1, 5, 6]) {
    const records = encodeRecords([{ key: null, value: `at ${baseOffset}`, timestampMs: 1000 }]).bytes
    const { commit } = buildCommit(journal.nextSeq, { records: [staged(logId, baseOffset, 1, records)] })
    expect(await appended(journal, commit)).toBeUndefined()
    readFrame(commit.frame, { records: (seq, ref) => log.append(seq, 1, ref) })
  }
  const reader = new LogReader(journal, new Tail(0, new BufferPool(0)), 64 * 1024)
  const offsets = reader
    .read(log, 0, 1e6)
    .map((batch) => [RecordBatch.baseOffset(batch), RecordBatch.lastOffset(batch), RecordBatch.count(batch)])
  expect(offsets).toEqual([
    [0, 1, 2],
    [5, 6, 2]
  ])
  await journal.close()
})
