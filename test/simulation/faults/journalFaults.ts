import { crc32c } from "@node-rs/crc32"
import type { Commit } from "@logbrook/core/journal/Journal"
import { inJournal, type PlantedFault } from "./Hooks.ts"

const withEpoch = (commit: Commit, epoch: number): Commit => {
  const frame = Buffer.from(commit.frame)
  frame.writeUInt32LE(epoch, 8)
  frame.writeUInt32LE(crc32c(frame.subarray(4)), 0)
  return { ...commit, frame }
}

const everyNth = (n: number): (() => boolean) => {
  let count = 0
  return () => ++count % n === 0
}

const clockFault = (name: string, isLost: (delayMs: number, now: number) => boolean): PlantedFault => ({
  name,
  plant: () => {
    let calls = 0
    return {
      clock: (own) => ({
        ...own,
        after: (delayMs, task) => (isLost(delayMs, ++calls) ? () => undefined : own.after(delayMs, task))
      })
    }
  }
})

/** Between the shard and its disk and clock. */
export const journalFaults: ReadonlyArray<PlantedFault> = [
  inJournal("acknowledged before the commit is durable", (own) => ({
    append: (commit, done) => {
      own.append(commit, () => undefined)
      queueMicrotask(() => done(undefined))
    }
  })),
  inJournal("a refused commit is acknowledged", (own) => ({
    append: (commit, done) => own.append(commit, () => done(undefined))
  })),
  inJournal("commits are completed out of order", (own) => {
    let held: (() => void) | undefined
    return {
      append: (commit, done) =>
        own.append(commit, (failure) => {
          const before = held
          held = undefined
          if (before === undefined) held = () => done(failure)
          else done(failure)
          before?.()
        })
    }
  }),
  inJournal("one commit in forty is not written", (own) => {
    const isLost = everyNth(40)
    return {
      append: (commit, done) => {
        if (isLost()) queueMicrotask(() => done(undefined))
        else own.append(commit, done)
      }
    }
  }),
  inJournal("a commit's own values are not written", (own) => ({
    append: (commit, done) => own.append({ ...commit, batches: [] }, done)
  })),
  inJournal("a commit's chunks are not written", (own) => ({
    append: (commit, done) => own.append({ ...commit, chunks: commit.chunks.map(() => Buffer.alloc(0)) }, done)
  })),
  inJournal("a commit's buffer is used again", (own) => {
    let before: Buffer | undefined
    return {
      append: (commit, done) => {
        own.append(commit, done)
        before?.fill(0)
        before = commit.frame
      }
    }
  }),
  inJournal("the epoch is not raised", (own) => ({
    append: (commit, done) => own.append(withEpoch(commit, 1), done)
  })),
  inJournal("a snapshot's page has states from the future", (own) => ({
    writePage: (fromSeq, index, page, done) =>
      own.writePage(fromSeq, index, { ...page, seq: Math.max(1, page.seq - 5) }, done)
  })),
  inJournal("a snapshot is sealed without its last page", (own) => ({
    completeSnapshot: (fromSeq, pages, done) => own.completeSnapshot(fromSeq, Math.max(0, pages - 1), done)
  })),
  inJournal("a replay passes over the newest frame", (own) => ({
    scan: (fromSeq, visit) => {
      const { nextSeq } = own
      let last: Buffer | undefined
      own.scan(fromSeq, (frame) => {
        if (last !== undefined && !visit(last)) return false
        last = Buffer.from(frame)
        return nextSeq > 0
      })
    }
  })),
  inJournal("a frame is read from a buffer that was overwritten", (own) => ({
    frame: (firstSeq) => own.frame(firstSeq)?.fill(0, 60)
  })),
  clockFault("pacing never fires", (delayMs) => delayMs > 0 && delayMs <= 5),
  clockFault("one timer in three is lost", (delayMs, call) => delayMs > 50 && call % 3 === 0)
]
