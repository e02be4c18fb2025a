import type { Broker } from "../Broker.ts"

export interface StreamTotals {
  readonly streams: number
  /** Offsets that readers can reach, in all partitions of all streams, and the bytes of their records. */
  readonly records: number
  readonly bytes: number
}

/** Looks at every partition. */
export const streamTotals = ({ directory, shards }: Pick<Broker, "directory" | "shards">): StreamTotals => {
  const all = directory.all()
  let records = 0
  let bytes = 0
  for (const { logIds } of all.values()) {
    for (const logId of logIds) {
      const log = shards.logsOf(logId).find(logId)
      if (log === undefined) continue
      records += log.highWatermark - log.startOffset
      bytes += log.byteLength
    }
  }
  return { streams: all.size, records, bytes }
}
