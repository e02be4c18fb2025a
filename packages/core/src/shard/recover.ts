import type { ActorId } from "../actor/Definition.ts"
import { partitionId, type LogState } from "../actor/LogEvents.ts"
import type { Seq } from "../journal/Journal.ts"
import { JournalError } from "../journal/JournalError.ts"
import { LogRecovery } from "../storage/LogRecovery.ts"
import type { LogStore } from "../storage/LogStore.ts"
import { Replay } from "./Replay.ts"
import type { ShardOptions } from "./ShardOptions.ts"

export interface Recovery {
  readonly states: ReadonlyMap<ActorId, unknown>
  readonly events: number
  /** The epoch of the last frame; 0 in an empty journal. */
  readonly epoch: number
  readonly durationMs: number
  readonly snapshotFromSeq: Seq | undefined
}

/**
 * States from the newest snapshot and what came after it; `logs`, if given, is filled from the runs of settled segments
 * and from every frame of the others.
 * Throws `JournalError`.
 */
export const recoverShard = (
  { journal, definitions, clock }: Pick<ShardOptions, "journal" | "definitions" | "clock">,
  logs: LogStore | undefined
): Recovery => {
  const startedMs = clock.monotonicMs()
  const recovery = logs && new LogRecovery(journal, logs)
  const replay = new Replay(
    definitions,
    recovery && { recordsFrom: recovery.recordsFrom, onRecords: (head, ref) => recovery.records(head, ref) }
  )
  const { states, events, epoch, snapshotFromSeq, unknownKinds } = replay.run(journal)
  recovery?.end()
  // A state that is not understood would be missing in the next snapshot, and be lost with its events' segment.
  if (unknownKinds.size > 0) {
    throw new JournalError("UnknownFormat", `actors of unknown kind: ${[...unknownKinds].join(", ")}`)
  }
  if (logs !== undefined) restoreLogs(logs, states)
  return {
    states,
    events,
    epoch,
    durationMs: clock.monotonicMs() - startedMs,
    snapshotFromSeq
  }
}

/** Restores what the references cannot tell: log start offsets, ends of logs whose segments are gone, and deleted logs. */
const restoreLogs = (logs: LogStore, states: ReadonlyMap<ActorId, unknown>): void => {
  for (const log of Array.from(logs.logs())) {
    if (!states.has(partitionId(log.id))) logs.forget(log.id)
  }
  for (const [id, state] of states) logs.restore(id, state as LogState)
}
