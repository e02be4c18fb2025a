import { crc32c } from "@node-rs/crc32"
import { KeyMap } from "@logbrook/core/compact/KeyMap"
import { MergedRecords } from "@logbrook/core/compact/MergedRecords"
import { RecordReader, RecordsBuilder } from "@logbrook/core/Record"
import { segmentName, parseSegmentName } from "@logbrook/core/journal/segmentNames"
import { Compactions, type CompactWork } from "@logbrook/core/settle/Compactions"
import type { CompactedLog } from "@logbrook/core/settle/SettleJob"
import { RunBuilder } from "@logbrook/core/settle/RunBuilder"
import { LogIndex, type Located } from "@logbrook/core/storage/LogIndex"
import { SimDisk } from "../SimDisk.ts"
import { inMethod, type PlantedFault } from "./Hooks.ts"

/** The next segment of a compaction, done otherwise. */
const inWork = (name: string, change: (work: CompactWork) => CompactWork): PlantedFault =>
  inMethod(name, Compactions.prototype, "goOn", (original) => {
    return (self: Compactions) => {
      const work = original(self) as CompactWork | undefined
      return work && change(work)
    }
  })

const inLogs = (name: string, change: (log: CompactedLog) => Partial<CompactedLog>): PlantedFault =>
  inWork(name, (work) => {
    const logs = work.compaction.logs.map((log) => ({ ...log, ...change(log) }))
    return { ...work, compaction: { ...work.compaction, logs } }
  })

/** A batch that a compaction has written, changed, its CRC right. */
const inBatch = (name: string, change: (batch: Buffer, verbatim: boolean) => void): PlantedFault =>
  inMethod(name, RunBuilder.prototype, "addCompacted", (original) => {
    return (self: RunBuilder, logId: number, verbatim: boolean, batch: Uint8Array, plainBytes: number) => {
      const own = Buffer.from(batch)
      change(own, verbatim)
      own.writeUInt32BE(crc32c(own.subarray(21)), 17)
      original(self, logId, verbatim, own, plainBytes)
    }
  })

/** The cursor may have read no more than the record's deltas. */
const isTombstone = ({ bytes, start, position }: RecordReader): boolean => {
  const own = new RecordReader().reset(bytes.subarray(start, position))
  return own.next() && own.valueLength < 0
}

const everyNth = (n: number): (() => boolean) => {
  let count = 0
  return () => ++count % n === 0
}

/** In what leaves out the records of compacted streams that have newer ones, and in what reads what is left. */
export const compactionFaults: ReadonlyArray<PlantedFault> = [
  inMethod("the newest value of a key is compacted away", KeyMap.prototype, "newestOffset", (original) => {
    return (self: KeyMap, key: Uint8Array) => (original(self, key) as number) + (key.at(-1)! % 2)
  }),
  inMethod("an older value stays where a newer one is gone", KeyMap.prototype, "newestOffset", (original) => {
    const isMissed = everyNth(9)
    return (self: KeyMap, key: Uint8Array) => (isMissed() ? -1 : original(self, key))
  }),
  inMethod("a full table of keys takes no key and says nothing", KeyMap.prototype, "put", (original) => {
    return (self: KeyMap, ...args: ReadonlyArray<never>) => original(self, ...args) !== undefined
  }),
  inLogs("delete.retention.ms is ignored", () => ({ deleteRetentionMs: 0 })),
  inMethod("a tombstone goes at its first compaction", RecordsBuilder.prototype, "appendRecord", (original) => {
    return (self: RecordsBuilder, record: RecordReader, ...args: ReadonlyArray<never>) =>
      isTombstone(record) ? undefined : original(self, record, ...args)
  }),
  inMethod(
    "a tombstone's delete horizon is set anew by each compaction",
    MergedRecords.prototype,
    "add",
    (original) => {
      return (self: MergedRecords, batch: Uint8Array) => {
        const own = Buffer.from(batch)
        // Attribute bit 6: what was to be dropped begins to wait once more.
        own.writeUInt16BE(own.readUInt16BE(21) & ~0x40, 21)
        original(self, own)
      }
    }
  ),
  inMethod("min.compaction.lag.ms is ignored", LogIndex.prototype, "compactable", (original) => {
    return (self: LogIndex, _toMs: number, dirtySegmentsMin: number) => original(self, Infinity, dirtySegmentsMin)
  }),
  inLogs("the last record of a log is compacted away", () => ({ logEndOffset: -1 })),
  inMethod("a record that is left moves to another offset", RecordsBuilder.prototype, "appendRecord", (original) => {
    const isMoved = everyNth(20)
    return (self: RecordsBuilder, record: RecordReader, offsetDelta: number, timestampMs: number) =>
      original(self, record, offsetDelta + (isMoved() ? 1 : 0), timestampMs)
  }),
  inBatch("a compacted batch loses its producer", (batch, verbatim) => {
    if (verbatim) batch.writeBigInt64BE(-1n, 43)
  }),
  inBatch("a compacted batch gets another time", (batch) => {
    batch.writeBigInt64BE(batch.readBigInt64BE(27) + 1n, 27)
  }),
  inBatch("a compacted batch ends at its last record that is left", (batch, verbatim) => {
    if (verbatim) batch.writeInt32BE(batch.readInt32BE(57) - 1, 23)
  }),
  inMethod("a reader behind a gap is given the run after next", LogIndex.prototype, "find", (original) => {
    return (self: LogIndex, offset: number) => {
      const found = original(self, offset) as number
      const isInGap = found + 1 < self.count && (self.at(found) as Located).baseOffset > offset
      return isInGap ? found + 1 : found
    }
  }),
  inWork("a compaction reads the keys of the segment that it writes only", (work) => {
    const at = work.readSeqs.indexOf(work.firstSeqs[0]!)
    const chain = at < 0 ? [] : work.compaction.chain.slice(at, at + 1)
    return { ...work, compaction: { ...work.compaction, chain } }
  }),
  inWork("a compaction begins with the newest segment", (work) => ({
    ...work,
    firstSeqs: [work.readSeqs.at(-1) ?? work.firstSeqs[0]!]
  })),
  inMethod("a log that is due is never compacted", Compactions.prototype, "begin", () => () => undefined),
  inMethod("a compaction passes over a segment", Compactions.prototype, "goOn", (original) => {
    const isPassed = everyNth(4)
    return (self: Compactions) => {
      const work = original(self) as CompactWork | undefined
      if (work === undefined || !isPassed()) return work
      self.done(work, [])
      return original(self)
    }
  }),
  inMethod("a start takes the file that a compaction has replaced", SimDisk.prototype, "open", (original) => {
    return (self: SimDisk) => {
      for (const name of self.files.keys()) {
        const newer = parseSegmentName(name)
        if (newer === undefined || newer.revision < 2 || newer.number !== newer.lastNumber) continue
        if (self.files.has(segmentName(newer.number, newer.lastNumber, newer.revision - 1).name)) {
          self.files.delete(name)
        }
      }
      return original(self)
    }
  })
]
