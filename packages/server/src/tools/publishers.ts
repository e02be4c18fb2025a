import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import type { BatchRef } from "@logbrook/core/journal/batchRef"
import { readFrame, readFrameHead, type FrameHead } from "@logbrook/core/journal/Frame"
import type { Extent } from "@logbrook/core/journal/Extent"
import type { Journal, Seq } from "@logbrook/core/journal/Journal"
import { RecordReader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { batchesOfRun } from "@logbrook/core/storage/runs"
import { sessionLogId } from "../mqtt/SessionLog.ts"
import { clientIdHeaderAt, headerNames } from "../streams/PublishRoutes.ts"
import { catalogAt } from "./StreamNames.ts"

/** The publisher of some of a batch's records. */
export interface Publisher {
  /** The MQTT client's id; null: the records do not say it, such as those of a stream without MQTT headers. */
  readonly clientId: string | null
  readonly records: number
  /** Ascending, first and last offset of each. */
  readonly offsets: ReadonlyArray<readonly [first: number, last: number]>
}

interface Found {
  readonly frame: Buffer
  readonly head: FrameHead
  readonly ref: BatchRef
}

/** With a frame of its own: the journal's is valid until the next read. */
const refAt = (journal: Journal, seq: Seq): Found | undefined => {
  let found: Found | undefined
  journal.scan(seq, (frame) => {
    const head = readFrameHead(frame)
    const records = (at: Seq, ref: BatchRef): void => {
      if (at === seq) found = { frame: Buffer.from(frame), head, ref }
    }
    readFrame(frame, { records, event: () => undefined, hash: () => undefined }, head)
    return false
  })
  return found
}

type Visit = (offset: number, record: RecordReader) => void

const visitRecords = (records: Uint8Array, baseOffset: number, visit: Visit): void => {
  const reader = new RecordReader().reset(records)
  while (reader.next()) visit(baseOffset + reader.offsetDelta, reader)
}

/** Visits the records in a settled segment, whose runs have the records of many events. */
const visitRuns = (journal: Journal, seq: Seq, { logId, baseOffset, count }: BatchRef, visit: Visit): void => {
  const endOffset = baseOffset + count
  const segment = journal.segments().find(({ firstSeq, nextSeq }) => seq >= firstSeq && seq < nextSeq)
  if (segment === undefined || !segment.isSettled) return
  const extents: Array<Extent> = []
  journal.visitRuns(segment.firstSeq, (extent) => {
    const isOverlapping = extent.baseOffset < endOffset && extent.baseOffset + extent.count > baseOffset
    if (extent.logId === logId && isOverlapping) extents.push(extent)
  })
  for (const extent of extents) {
    const run = journal.run(segment.firstSeq, logId, extent.baseOffset + extent.count - 1)
    if (run === undefined) continue
    for (const batch of batchesOfRun(run, { ...extent, frameSeq: segment.firstSeq }, baseOffset)) {
      visitRecords(RecordBatch.storedRecordsOf(batch), RecordBatch.baseOffset(batch), (offset, record) => {
        if (offset >= baseOffset && offset < endOffset) visit(offset, record)
      })
    }
  }
}

const visitAll = (journal: Journal, seq: Seq, { frame, head: { firstSeq }, ref }: Found, visit: Visit): void => {
  const { place, chunk, position, byteLength, logId, baseOffset, count } = ref
  if (place === "run") return visitRuns(journal, seq, ref, visit)
  if (place === "value") {
    const batch = journal.batch(firstSeq, logId, baseOffset + count - 1)
    if (batch !== undefined) visitRecords(RecordBatch.storedRecordsOf(batch), baseOffset, visit)
    return
  }
  const whole = place === "frame" ? frame : journal.chunk(firstSeq, chunk)
  if (whole !== undefined) visitRecords(whole.subarray(position, position + byteLength), baseOffset, visit)
}

/** Where the server writes it: at any other place it is a user property, whose name is the client's choice. */
const clientIdOf = (record: RecordReader): string | null => {
  const [name, value = null] = record.headers()[clientIdHeaderAt] ?? []
  if (name === undefined || value === null || Buffer.compare(name, headerNames.clientId) !== 0) return null
  return Buffer.from(value).toString("utf8")
}

/**
 * A stream's setting just before `seq`; where nothing of so far back is kept, that of now. Without it user properties
 * come first.
 */
const hasMqttHeaders = (journal: Journal, logId: number, seq: Seq): boolean => {
  if (logId === sessionLogId) return true
  const isKept = journal.firstSeq === 1 || journal.snapshot(seq) !== undefined
  const { streams } = catalogAt(journal, isKept ? seq : journal.nextSeq)
  const stream = [...streams.values()].find(({ logIds }) => logIds.includes(logId))
  return stream !== undefined && effectiveConfig(stream.config).mqttHeaders
}

/**
 * The publishers of the records of the event at `seq`, in the order of their first ones, read where they are kept.
 * Undefined for an event that has no records of MQTT messages; none where retention has taken them all. Throws
 * `JournalError` for damage.
 */
export const publishersOf = (journal: Journal, seq: Seq): ReadonlyArray<Publisher> | undefined => {
  const found = refAt(journal, seq)
  if (found === undefined || found.ref.verbatim) return undefined
  const tellsClient = hasMqttHeaders(journal, found.ref.logId, seq)
  const publishers = new Map<string | null, { records: number; offsets: Array<[first: number, last: number]> }>()
  visitAll(journal, seq, found, (offset, record) => {
    const clientId = tellsClient ? clientIdOf(record) : null
    const publisher = publishers.get(clientId) ?? { records: 0, offsets: [] }
    publishers.set(clientId, publisher)
    publisher.records++
    const last = publisher.offsets.at(-1)
    if (last !== undefined && last[1] === offset - 1) last[1] = offset
    else publisher.offsets.push([offset, offset])
  })
  return Array.from(publishers, ([clientId, publisher]) => ({ clientId, ...publisher }))
}
