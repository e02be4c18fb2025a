import { matches } from "@logbrook/core/TopicFilter"
import type { StreamReading } from "@logbrook/actors/session/SessionProtocol"
import { PartitionCursor } from "./PartitionCursor.ts"
import type { PartitionLog } from "./PartitionLog.ts"
import { StreamMerge } from "./StreamMerge.ts"
import { StreamRefused } from "./StreamRefused.ts"
import type { PartitionOffsets, StreamEnd, StreamRequest, StreamStart } from "./StreamRequest.ts"

/** The position of a partition that is not read. */
export const notRead = -1

const levels = (filter: string): ReadonlyArray<string> => filter.split("/")

/** Whether there is a topic that both filters match. */
export const overlap = (one: string, other: string): boolean => {
  const a = levels(one)
  const b = levels(other)
  for (let at = 0; ; at++) {
    const left = a[at]
    const right = b[at]
    if (left === "#" || right === "#") return true
    // `a/#` matches `a` as well.
    if (left === undefined) return right === undefined
    if (right === undefined) return false
    if (left !== right && left !== "+" && right !== "+") return false
  }
}

/**
 * Whether a subscription `$stream/NAME/FILTER` matches a record's topic: as an ordinary one would match `$stream/NAME/TOPIC`, so that `#`
 * is all of the stream, topics with `$` in front as well. Undefined: the record has no topic and lies on `$stream/NAME`.
 */
export const matchesRecord = (topicFilter: string | undefined, topic: string | undefined): boolean => {
  if (topicFilter === undefined || topicFilter === "#") return true
  if (topic === undefined) return false
  return topic.startsWith("$") ? matches(`x/${topicFilter}`, `x/${topic}`) : matches(topicFilter, topic)
}

const throwIfCannotMatch = (topicFilter: string | undefined, filters: ReadonlyArray<string>): void => {
  if (topicFilter === undefined || topicFilter === "#") return
  if (filters.some((filter) => overlap(filter, topicFilter))) return
  const text =
    filters.length === 0
      ? "the stream's records have no topics that a filter could match"
      : "the filter matches no topic of the stream"
  throw new StreamRefused("CannotMatch", text)
}

const throwIfOutOfRange = (offsets: PartitionOffsets, logs: ReadonlyArray<PartitionLog>, isStart: boolean): void => {
  for (const [partition, offset] of offsets) {
    const log = logs[partition]
    if (log === undefined) {
      throw new StreamRefused("UnknownPartition", `there is no partition ${partition}; there are ${logs.length}`)
    }
    if (isStart && offset > log.highWatermark) {
      const text = `partition ${partition} ends at ${log.highWatermark}: offset ${offset} is not there yet`
      throw new StreamRefused("OffsetOutOfRange", text)
    }
  }
}

/** How far back one partition is taken. */
interface Back {
  readonly log: PartitionLog
  /** The first part that is taken. */
  at: number
  /** The latest time in the part before it. */
  maxMs: number
}

const offsetsIn = (log: PartitionLog, index: number): number => {
  const { baseOffset, count } = log.part(index)
  return Math.min(baseOffset + count, log.lastStableOffset) - Math.max(baseOffset, log.startOffset)
}

/** A part that was taken, and that may be older than one that was not. */
interface Uncertain {
  readonly firstMs: number
  readonly count: number
}

/** The latest `firstMs` stays the last. */
const insert = (parts: Array<Uncertain>, part: Uncertain): void => {
  let low = 0
  for (let high = parts.length; low < high;) {
    const middle = (low + high) >>> 1
    if (parts[middle]!.firstMs <= part.firstMs) low = middle + 1
    else high = middle
  }
  parts.splice(low, 0, part)
}

/** Some milliseconds of CPU, in which nobody else is served. */
const partsTakenMax = 8192

/**
 * The positions behind which the last `count` records of all partitions together lie, by time. Parts are taken from the end, the
 * newest first, until that many records are newer than anything that was not taken, or `partsTakenMax` are taken; then what is too much
 * is passed over in the order in which a reader delivers.
 */
const lastPositions = (logs: ReadonlyArray<PartitionLog>, count: number): ReadonlyArray<number> => {
  let all = 0
  for (const { startOffset, lastStableOffset } of logs) all += lastStableOffset - startOffset
  if (count >= all) return logs.map(({ startOffset }) => startOffset)
  const backs: ReadonlyArray<Back> = logs.map((log) => ({ log, at: log.parts, maxMs: maxMsBefore(log, log.parts) }))
  const uncertain: Array<Uncertain> = []
  let taken = 0
  let certain = 0
  let newest = newestOf(backs)
  for (let parts = 0; parts < partsTakenMax && certain < count && newest !== undefined; parts++) {
    const { log } = newest
    newest.at--
    newest.maxMs = maxMsBefore(log, newest.at)
    const offsets = offsetsIn(log, newest.at)
    taken += offsets
    insert(uncertain, { firstMs: log.part(newest.at).firstTimestampMs, count: offsets })
    newest = newestOf(backs)
    const restMs = newest === undefined ? -Infinity : newest.maxMs
    while (uncertain.length > 0 && uncertain.at(-1)!.firstMs > restMs) certain += uncertain.pop()!.count
  }
  const positions = backs.map(({ log, at }) =>
    at === log.parts ? log.lastStableOffset : Math.max(log.startOffset, log.part(at).baseOffset)
  )
  return skipped(logs, positions, taken - count)
}

const maxMsBefore = (log: PartitionLog, index: number): number =>
  index === 0 ? -Infinity : log.part(index - 1).maxTimestampMs

const newestOf = (backs: ReadonlyArray<Back>): Back | undefined => {
  let newest: Back | undefined
  for (const back of backs) if (back.maxMs > (newest?.maxMs ?? -Infinity)) newest = back
  return newest
}

/** They are read one by one: where there are more, reading begins with the parts that were taken. */
const recordsSkippedMax = 4096
const skipReadBytes = 64 * 1024

const skipped = (
  logs: ReadonlyArray<PartitionLog>,
  positions: ReadonlyArray<number>,
  count: number
): ReadonlyArray<number> => {
  if (count <= 0 || count > recordsSkippedMax) return positions
  const cursors = logs.map(
    (log, partition) =>
      new PartitionCursor(partition, log, positions[partition]!, { offset: Infinity, timeMs: Infinity })
  )
  const merge = new StreamMerge(cursors, skipReadBytes)
  for (let left = count; left > 0; left--) {
    const cursor = merge.next(Infinity)
    if (cursor === undefined) break
    cursor.pass()
  }
  return cursors.map(({ position }) => position)
}

const startPositions = (start: StreamStart, logs: ReadonlyArray<PartitionLog>): ReadonlyArray<number> => {
  switch (start._tag) {
    case "Earliest":
      return logs.map(({ startOffset }) => startOffset)
    case "Latest":
      return logs.map(({ lastStableOffset }) => lastStableOffset)
    case "Time":
      return logs.map((log) => log.offsetForTimestamp(start.atMs) ?? log.lastStableOffset)
    case "Last":
      return lastPositions(logs, start.count)
    case "Offsets":
      return logs.map((_, partition) => start.offsets.get(partition) ?? notRead)
  }
}

const endsOf = (end: StreamEnd | undefined, logs: ReadonlyArray<PartitionLog>): ReadonlyArray<number> | null => {
  if (end === undefined || end._tag === "Time") return null
  if (end._tag === "Now") return logs.map(({ lastStableOffset }) => lastStableOffset)
  return logs.map((_, partition) => end.offsets.get(partition) ?? notRead)
}

/**
 * Where a request begins and ends to read a stream, `logs` by partition, as it is at this moment. `filters` are those of the
 * topics that its records have. Throws `StreamRefused`, and `JournalError` if a log cannot be read.
 */
export const placeOf = (
  { start, end, topicFilter, isFullTopic }: StreamRequest,
  topicId: string,
  filters: ReadonlyArray<string>,
  logs: ReadonlyArray<PartitionLog>
): StreamReading => {
  throwIfCannotMatch(topicFilter, filters)
  if (start._tag === "Offsets") throwIfOutOfRange(start.offsets, logs, true)
  if (end?._tag === "Offsets") throwIfOutOfRange(end.offsets, logs, false)
  const ends = endsOf(end, logs)
  const positions = startPositions(start, logs).map((position, partition) =>
    ends?.[partition] === notRead ? notRead : position
  )
  return { topicId, positions, ends, untilMs: end?._tag === "Time" ? end.atMs : null, isFullTopic }
}

/** A stream that does not exist yet is read from its beginning, once it does. Throws `StreamRefused` for what needs the stream. */
export const placeOfNone = ({ stream, start, end, isFullTopic, waits }: StreamRequest): StreamReading => {
  if (!waits) throw new StreamRefused("UnknownStream", `there is no stream ${stream}`)
  if (start._tag === "Offsets" || end?._tag === "Offsets" || end?._tag === "Now") {
    throw new StreamRefused("UnknownStream", `there is no stream ${stream} yet, so it has no offsets`)
  }
  return { topicId: null, positions: [], ends: null, untilMs: end?._tag === "Time" ? end.atMs : null, isFullTopic }
}
