import * as Exit from "effect/Exit"
import { repeatIn } from "@logbrook/core/actor/Outbox"
import type { Decision, Signal } from "@logbrook/core/actor/Definition"
import { can, type SessionLife } from "./sessionMachine.ts"
import {
  type HandOn,
  type LifecycleEvent,
  type MessageRef,
  type SessionCommand,
  type SessionEvent,
  type SessionKind,
  type SessionNotice,
  type SessionRefusal,
  SessionRefused,
  type SessionReply,
  type SharedReleased
} from "./SessionProtocol.ts"
import { evolveLifecycle, evolveReleased, releasedBy, type SessionState } from "./sessionState.ts"

export type SessionDecision = Decision<typeof SessionKind, SessionCommand, SessionState>

export const refuse = (reason: SessionRefusal): SessionDecision => ({
  events: [],
  reply: Exit.fail(new SessionRefused({ reason })),
  signals: []
})

export const decided = (
  reply: SessionReply,
  events: ReadonlyArray<SessionEvent> = [],
  signals: ReadonlyArray<Signal<typeof SessionKind>> = []
): SessionDecision => ({ events, reply: Exit.succeed(reply), signals })

export const done: SessionReply = { _tag: "Done" }

export const notify = (notice: SessionNotice): Signal<typeof SessionKind> => ({ _tag: "Notify", notice })

/** A decision about the lifecycle in the making. */
export interface Draft {
  readonly before: SessionState
  readonly nowMs: number
  /** With the events folded in. */
  state: SessionState
  readonly events: Array<LifecycleEvent | SharedReleased>
  readonly notices: Array<SessionNotice>
}

export const draftOf = (before: SessionState, nowMs: number): Draft => ({
  before,
  nowMs,
  state: before,
  events: [],
  notices: []
})

export const apply = (draft: Draft, event: LifecycleEvent | SharedReleased): void => {
  draft.events.push(event)
  draft.state =
    event._tag === "SharedReleased" ? evolveReleased(draft.state, event) : evolveLifecycle(draft.state, event)
}

/** The event that releases these messages of shared subscriptions, and the notice that asks for other members to have them. */
export const release = (
  state: SessionState,
  entryIds: ReadonlyArray<number>,
  messages: ReadonlyArray<MessageRef> = []
): { readonly event: SharedReleased; readonly notice: HandOn } => {
  const { clientId, released } = state
  const firstReleaseId = (released.at(-1)?.releaseId ?? 0) + 1
  const event: SharedReleased = { _tag: "SharedReleased", firstReleaseId, entryIds, messages }
  return { event, notice: { _tag: "HandOn", clientId, messages: releasedBy(state, event) } }
}

/** Whether a group has dealt it out of a stream, `$share/GROUP/$stream/…`. */
export const isOfStreamShare = ({ share, stream }: MessageRef): boolean => share !== undefined && stream !== undefined

/** Whether the session, as far as it is decided, can take such an event. */
export const mayBe = ({ state }: Draft, tag: LifecycleEvent["_tag"]): boolean => can(state, tag)

const deadline = (
  key: string,
  beforeMs: number | null,
  afterMs: number | null,
  commandAt: (atMs: number) => SessionCommand
): ReadonlyArray<Signal<typeof SessionKind>> => {
  if (afterMs !== null) return [{ _tag: "SetDeadline", key, atMs: afterMs, command: commandAt(afterMs) }]
  return beforeMs === null ? [] : [{ _tag: "CancelDeadline", key }]
}

/** The deadlines of a life that follows `before`. */
export const deadlines = (before: SessionLife, after: SessionLife): ReadonlyArray<Signal<typeof SessionKind>> => [
  ...deadline("expire", before.expiresAtMs, after.expiresAtMs, (atMs) => ({ _tag: "Expire", atMs })),
  ...deadline("will", before.willAtMs, after.willAtMs, (atMs) => ({ _tag: "WillDue", atMs }))
]

/** `repeatDelayMs`: of intents that are told again; the first one's by default. */
export const decisionOf = (draft: Draft, reply: SessionReply, repeatDelayMs?: number): SessionDecision => {
  const { before, events, notices, state, nowMs } = draft
  const hasIntent = notices.some(({ _tag }) => _tag === "PublishWill" || _tag === "HandOn")
  const repeat = hasIntent ? [repeatIn(nowMs, repeatDelayMs)] : []
  const signals = [...deadlines(before.life, state.life), ...repeat, ...notices.map(notify)]
  const decision = decided(reply, events, signals)
  // Only events that change nothing in place lead to a next state here: those of the traffic are folded once the decision stands.
  return events.length === 0 ? decision : { ...decision, next: state }
}
