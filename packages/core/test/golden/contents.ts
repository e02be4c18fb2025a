import { createHash } from "node:crypto"
import { stateHash } from "@logbrook/core/actor/pack"
import { readFrame } from "@logbrook/core/journal/Frame"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { defaultLimits } from "@logbrook/core/Limits"
import { recoverShard } from "@logbrook/core/shard/recover"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { systemClock } from "@logbrook/core/Clock"
import { makeCounter, ToyPartition } from "../support/toys.ts"

export const goldenLogs = 14
export const goldenDefinitions = [ShardActor, makeCounter(), ToyPartition]

export const openGolden = (directory: string): LmdbJournal =>
  LmdbJournal.open({ directory, segmentBytes: 60_000, segmentRefsMax: 1e6 })

const shortHash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex").slice(0, 16)

/** Everything in a journal, a line each: events with their causes, references, records, states. */
export const contentsOf = (directory: string): ReadonlyArray<string> => {
  const journal = openGolden(directory)
  const lines: Array<string> = []
  for (const { name, firstSeq, nextSeq } of journal.segments()) lines.push(`segment ${name} ${firstSeq} ${nextSeq}`)
  journal.scan(1, (frame) => {
    const head = readFrame(frame, {
      event: (seq, actor, version, payload, cause) =>
        lines.push(`${seq} ${actor} v${version} ${payload.toString("base64url")} ${JSON.stringify(cause)}`),
      records: (seq, ref, cause) => lines.push(`${seq} ${JSON.stringify(ref)} ${JSON.stringify(cause)}`),
      hash: (seq, actor, hash) => lines.push(`${seq} ${actor} hash ${hash.toString("hex")}`)
    })
    lines.push(`frame ${JSON.stringify(head)}`)
    return true
  })
  const logs = new LogStore(journal, 1_000_000, defaultLimits.synthesisedBatchBytesMax)
  const { states, snapshotFromSeq } = recoverShard(
    { journal, definitions: goldenDefinitions, clock: systemClock },
    logs
  )
  lines.push(`snapshot ${snapshotFromSeq}`)
  for (const [id, state] of [...states].toSorted()) {
    const definition = goldenDefinitions.find(({ kind }) => id.startsWith(`${kind}/`))!
    lines.push(`state ${id} ${stateHash(definition.save(state as never)).toString("hex")}`)
  }
  for (let logId = 1; logId <= goldenLogs; logId++) {
    const log = logs.log(logId)
    lines.push(`log ${logId} ${log.startOffset} ${log.highWatermark}`)
    for (let at = log.startOffset; at < log.highWatermark;) {
      for (const batch of logs.read(log, at, 1_000_000)) {
        iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
          const value = record.value()!
          const offset = RecordBatch.baseOffset(batch) + record.offsetDelta
          const timestampMs = RecordBatch.baseTimestamp(batch) + record.timestampDelta
          lines.push(`record ${logId} ${offset} ${timestampMs} ${value.length} ${shortHash(value)}`)
        })
        at = RecordBatch.lastOffset(batch) + 1
      }
    }
  }
  void journal.close()
  return lines
}
