import { crc32c } from "@node-rs/crc32"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { Log } from "@logbrook/core/storage/Log"
import type { LogStore } from "@logbrook/core/storage/LogStore"
import { eachKeyed, type KeyedRecord } from "./keyedRecords.ts"
import type { ReadRecord } from "./KeyedLog.ts"

/** A whole run is read for each of its batches that is asked for alone. */
const readBytes = 256 * 1024

/** Reads logs as a reader would ask for them, again and again: the same bytes are decompressed once. */
export class KeyedReader {
  readonly #known = new Map<string, ReadonlyArray<KeyedRecord>>()

  /** All that a log has from `fromOffset` on. */
  read(logs: LogStore, log: Log, fromOffset: number): ReadonlyArray<ReadRecord> {
    const read: Array<ReadRecord> = []
    const { index } = log
    for (let offset = fromOffset; offset < log.highWatermark;) {
      const batches = logs.read(log, offset, readBytes)
      if (batches.length === 0) break
      for (const batch of batches) {
        const lastOffset = RecordBatch.lastOffset(batch)
        const { isCompacted } = index.at(index.find(lastOffset))
        const deleteHorizonMs = RecordBatch.deleteHorizon(batch)
        for (const record of this.#recordsOf(batch)) {
          if (record.offset >= offset) read.push({ ...record, deleteHorizonMs, isCompacted })
        }
        offset = Math.max(offset, lastOffset + 1)
      }
    }
    return read
  }

  #recordsOf(batch: Uint8Array): ReadonlyArray<KeyedRecord> {
    const digest = `${crc32c(batch)}/${batch.length}/${RecordBatch.baseOffset(batch)}`
    const known = this.#known.get(digest)
    if (known !== undefined) return known
    const records: Array<KeyedRecord> = []
    eachKeyed(batch, (record) => records.push(record))
    this.#known.set(digest, records)
    return records
  }
}
