import type { Signal } from "@logbrook/core/actor/Definition"
import { apply, cancelDeadline, type Draft } from "../groupDraft.ts"
import type { CommittedOffset, GroupKind, GroupSettings } from "../GroupProtocol.ts"
import { emptySinceMsOf, groupStateName, type GroupState, memberCountOf, subscribedTopicsOf } from "../groupState.ts"
import { listOffsets } from "./offsetTable.ts"
import { isPending } from "./pendingOffsets.ts"

// Committed offsets expire as Kafka's do (KIP-211), after `offsets.retention.minutes`:
// of a group without members, counted from when the last one left, or from the commit when that is later or nobody ever was
// a member; of a Stable group of consumers, counted from the commit, and only those of topics that no member subscribes to.
//
// A group that has offsets has the deadline "offsets", at or before the moment when the first of them may expire: commits
// and members only put that moment off. When the deadline comes, what is due goes and the next moment is looked for; when
// the last member leaves, it is the retention from then.

/** Kafka's `offsets.retention.check.interval.ms`: how late offsets may go that members used beyond their time. */
const checkIntervalMs = 600_000

const key = "offsets"

const deadline = (atMs: number, dueMs: number): Signal<typeof GroupKind> => ({
  _tag: "SetDeadline",
  key,
  atMs,
  command: { _tag: "ExpireOffsets", dueMs }
})

/** Since when nobody uses the offset, Unix ms, as far as its own age tells. */
const unusedSinceMs = (state: GroupState, { committedAtMs }: CommittedOffset): number =>
  Math.max(committedAtMs, emptySinceMsOf(state) ?? 0)

/** When the first offset may expire, should nothing happen until then; Infinity without offsets. */
const firstDueMs = (state: GroupState, { offsetsRetentionMs }: GroupSettings): number => {
  let firstMs = Infinity
  for (const partitions of state.offsets.topics.values()) {
    for (const offset of partitions.values()) firstMs = Math.min(firstMs, unusedSinceMs(state, offset))
  }
  return firstMs + offsetsRetentionMs
}

/** Offsets that may expire when they are old enough. */
const unusedOffsets = (state: GroupState): ReadonlyArray<CommittedOffset> => {
  const name = groupStateName(state)
  const subscribed = name === "Empty" || name === "Stable" ? subscribedTopicsOf(state) : undefined
  if (subscribed === undefined) return []
  return listOffsets(state.offsets).filter(
    (offset) => !subscribed.has(offset.stream) && !isPending(state.pending, offset)
  )
}

/**
 * Expires the offsets that are due at `dueMs`, the deadline's own time: a machine's clock that was set forth meanwhile
 * makes nothing due. The next deadline is as long after this one as it would be had nobody touched the clock.
 */
export const expireOffsets = (draft: Draft, dueMs: number): void => {
  const { offsetsRetentionMs } = draft.settings
  const expired = unusedOffsets(draft.state).filter(
    (offset) => unusedSinceMs(draft.state, offset) + offsetsRetentionMs <= dueMs
  )
  if (expired.length > 0) {
    apply(draft, {
      _tag: "OffsetsExpired",
      retentionMs: offsetsRetentionMs,
      reason: memberCountOf(draft.state) === 0 ? "no members" : "not subscribed",
      offsets: expired.map(({ topicId, stream, partition, offset }) => ({ topicId, stream, partition, offset }))
    })
  }
  if (draft.state.offsets.count === 0) return
  const nextMs = firstDueMs(draft.state, draft.settings)
  const delayMs = nextMs > dueMs ? nextMs - dueMs : checkIntervalMs
  draft.signals.push(deadline(draft.nowMs + delayMs, dueMs + delayMs))
}

/** After any command: a group with offsets has the deadline, one without has none. */
export const watchOffsets = (draft: Draft, before: GroupState): void => {
  const { offsets } = draft.state
  const isUnused = groupStateName(draft.state) === "Empty" && groupStateName(before) !== "Empty"
  if (offsets.count > 0 && (before.offsets.count === 0 || isUnused)) {
    const dueMs = draft.nowMs + draft.settings.offsetsRetentionMs
    draft.signals.push(deadline(dueMs, dueMs))
  } else if (before.offsets.count > 0 && offsets.count === 0) cancelDeadline(draft, key)
}

/** After a restart: at once for all that has become due meanwhile. */
export const resumeOffsets = (
  state: GroupState,
  settings: GroupSettings,
  nowMs: number
): ReadonlyArray<Signal<typeof GroupKind>> => {
  if (state.offsets.count === 0) return []
  const dueMs = Math.max(firstDueMs(state, settings), nowMs)
  return [deadline(dueMs, dueMs)]
}
