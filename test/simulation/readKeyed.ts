import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { Log } from "@logbrook/core/storage/Log"
import type { LogStore } from "@logbrook/core/storage/LogStore"
import { eachKeyed } from "./keyedRecords.ts"
import type { ReadRecord } from "./KeyedLog.ts"

/** All that a log has from `startOffset` on, batch by batch as a reader would ask for it. */
export const readKeyed = (logs: LogStore, log: Log, startOffset: number): ReadonlyArray<ReadRecord> => {
  const read: Array<ReadRecord> = []
  const { index } = log
  for (let offset = startOffset; offset < log.highWatermark;) {
    const [batch] = logs.read(log, offset, 1)
    if (batch === undefined) break
    const isCompacted = index.at(index.find(offset)).isCompacted
    const deleteHorizonMs = RecordBatch.deleteHorizon(batch)
    eachKeyed(batch, (record) => {
      if (record.offset >= offset) read.push({ ...record, deleteHorizonMs, isCompacted })
    })
    offset = Math.max(offset, RecordBatch.lastOffset(batch)) + 1
  }
  return read
}
