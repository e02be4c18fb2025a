import type { Decision, Signal } from "@logbrook/core/actor/Definition"
import type { Room } from "@logbrook/core/memory/MemoryAccount"
import { repeatIn } from "@logbrook/core/actor/Outbox"
import * as Exit from "effect/Exit"
import { noTimeout } from "./transactionDeadlines.ts"
import { finishOf } from "./transactionMachine.ts"
import {
  type FenceReason,
  type TransactionCommand,
  type TransactionEvent,
  type TransactionKind,
  TransactionRefused,
  type TransactionRefusal,
  type TransactionReply,
  type TransactionSettings
} from "./TransactionProtocol.ts"
import { evolveTransaction, memberCountOf, type TransactionState, weightBytesOf } from "./transactionState.ts"

export type Answer = Exit.Exit<TransactionReply, TransactionRefused>

/** A decision in the making: `state` already holds what `events` say. */
export interface Draft {
  readonly settings: TransactionSettings
  readonly nowMs: number
  readonly room: Room
  state: TransactionState
  readonly events: Array<TransactionEvent>
  readonly signals: Array<Signal<typeof TransactionKind>>
}

export const draftOf = (settings: TransactionSettings, state: TransactionState, nowMs: number, room: Room): Draft => ({
  settings,
  nowMs,
  room,
  state,
  events: [],
  signals: []
})

/** The state is handed over: no event changes one in place. */
export const decisionOf = (
  { state, events, signals }: Draft,
  reply: Answer
): Decision<typeof TransactionKind, TransactionCommand, TransactionState> => ({
  events,
  reply,
  signals,
  ...(events.length > 0 && { next: state })
})

export const apply = (draft: Draft, event: TransactionEvent): void => {
  applyAs(draft, event, evolveTransaction(draft.state, event))
}

/** An event of which the state that it leads to was looked at already. */
export const applyAs = (draft: Draft, event: TransactionEvent, next: TransactionState): void => {
  draft.state = next
  draft.events.push(event)
}

export const done: Answer = Exit.succeed({ _tag: "Done" })

export const refused = (reason: TransactionRefusal, message: string): Exit.Exit<never, TransactionRefused> =>
  Exit.fail(new TransactionRefused({ reason, message }))

/** A transactional id that does not grow needs none. */
export const hasRoomForId = ({ state, room }: Draft, next: TransactionState): boolean =>
  weightBytesOf(next) - weightBytesOf(state) <= room("transactions")

/** Members have an account of their own: ids, however many, keep no transaction from going on. */
export const hasRoomForMembers = ({ state, room }: Draft, next: TransactionState): boolean =>
  next.membersBytes - state.membersBytes <= room("transactionMembers")

/** The outcome is certain with this event. Partitions and groups are told once it is durable; without any, all is done. */
export const prepare = (
  draft: Draft,
  event: Extract<TransactionEvent, { readonly _tag: "CommitPrepared" | "AbortPrepared" }>
): void => {
  apply(draft, event)
  draft.signals.push(noTimeout)
  if (memberCountOf(draft.state) === 0) apply(draft, { _tag: "TransactionCompleted", atMs: draft.nowMs })
  const finish = finishOf(draft.state.transactionalId, draft.state)
  if (finish !== undefined) draft.signals.push({ _tag: "Notify", notice: finish }, repeatIn(draft.nowMs))
}

/** The greatest number that an epoch can be: 16 bits with a sign. */
const epochLimit = 32_767

/**
 * Aborts the open transaction, which its producer has not ended: the fence raises the epoch, and the end leaves it so, as in Apache Kafka
 * 4.3. `lastProducerEpoch`: that of the producer which asked for it and goes on with the epoch that was raised; -1: whoever has the one
 * before is fenced.
 */
export const abort = (draft: Draft, reason: FenceReason, lastProducerEpoch = -1): void => {
  const producerEpoch = Math.min(draft.state.life.producerEpoch + 1, epochLimit)
  apply(draft, { _tag: "ProducerFenced", producerEpoch, reason })
  prepare(draft, {
    _tag: "AbortPrepared",
    producerEpoch,
    lastProducerEpoch,
    nextProducerId: -1,
    version: 2,
    atMs: draft.nowMs
  })
}
