import { FrameBuilder, type BuiltCommit, type Cause, type StagedRecords } from "@logbrook/core/journal/Frame"
import type { AppendFailure, Commit, Journal, Seq } from "@logbrook/core/journal/Journal"
import { encodeHeaders, RecordsBuilder, type RecordHeader } from "@logbrook/core/Record"

export interface CommitContent {
  readonly epoch?: number
  readonly timeMs?: number
  readonly events?: ReadonlyArray<{ readonly actor: string; readonly payload: string; readonly cause?: Cause }>
  readonly records?: ReadonlyArray<StagedRecords>
}

export const buildCommit = (firstSeq: Seq, content: CommitContent): BuiltCommit => {
  const frame = new FrameBuilder(firstSeq, content.epoch ?? 1, content.timeMs ?? 1_800_000_000_000)
  for (const { actor, payload, cause } of content.events ?? []) {
    frame.event(actor, 1, Buffer.from(payload), cause ?? {})
  }
  for (const records of content.records ?? []) frame.records(records, {})
  return frame.build()
}

/** `events` plain events with payloads of `payloadBytes`. */
export const plainCommit = (firstSeq: Seq, events = 1, payloadBytes = 10): Commit =>
  buildCommit(firstSeq, {
    events: Array.from({ length: events }, (_, i) => ({
      actor: `toy/${(firstSeq + i) % 7}`,
      payload: String(firstSeq + i).padEnd(payloadBytes, ".")
    }))
  }).commit

export interface RecordContent {
  readonly key: string | null
  readonly value: string | null
  readonly timestampMs: number
  readonly headers?: ReadonlyArray<readonly [string, string | null]>
}

const bytesOf = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text))

export const encodeRecords = (records: ReadonlyArray<RecordContent>): RecordsBuilder => {
  const builder = new RecordsBuilder(16 * 1024 * 1024)
  for (const { key, value, timestampMs, headers } of records) {
    const block = encodeHeaders((headers ?? []).map(([n, v]): RecordHeader => [Buffer.from(n), bytesOf(v)]))
    if (!builder.append(bytesOf(key), bytesOf(value), block, timestampMs)) throw new Error("too much for a test")
  }
  return builder
}

/** `bytes` of anything: the journal does not look inside. */
export const staged = (logId: number, baseOffset: number, count: number, bytes: Uint8Array): StagedRecords => ({
  logId,
  baseOffset,
  count,
  firstTimestampMs: 1_800_000_000_000,
  maxTimestampMs: 1_800_000_000_005,
  bytes,
  verbatim: false,
  producer: undefined
})

/** Settles as `append` does. */
export const appended = (journal: Journal, commit: Commit): Promise<AppendFailure | undefined> => {
  const { promise, resolve } = Promise.withResolvers<AppendFailure | undefined>()
  journal.append(commit, resolve)
  return promise
}

export const writtenOk = (write: (done: (ok: boolean) => void) => void): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  write(resolve)
  return promise
}
