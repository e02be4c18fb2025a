import { RecordReader } from "../Record.ts"
import * as RecordBatch from "../RecordBatch.ts"
import type { KeyMap } from "./KeyMap.ts"

/**
 * Notes the offsets of a batch's keys, whose records are committed; false once the map is full: the batch is in it in part
 * then, which does no harm. Throws `InvalidBatch` or `InvalidRecord`.
 */
export const addKeys = (newest: KeyMap, batch: Uint8Array): boolean => {
  if (RecordBatch.isControl(batch)) return true
  const baseOffset = RecordBatch.baseOffset(batch)
  return RecordBatch.withStoredRecordsOf(batch, (records) => {
    const reader = new RecordReader().reset(records)
    while (reader.next()) {
      const key = reader.key()
      if (key !== null && !newest.put(key, baseOffset + reader.offsetDelta)) return false
    }
    return true
  })
}
