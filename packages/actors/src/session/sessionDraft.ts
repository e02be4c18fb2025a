import * as Exit from "effect/Exit"
import type { Decision, Signal } from "@logbrook/core/actor/Definition"
import { foldLife, type SessionLife } from "./sessionMachine.ts"
import {
  type LifecycleEvent,
  type SessionCommand,
  type SessionEvent,
  type SessionNotice,
  type SessionRefusal,
  SessionRefused,
  type SessionReply
} from "./SessionProtocol.ts"
import type { SessionState } from "./sessionState.ts"

export type SessionDecision = Decision<SessionCommand, SessionEvent, SessionReply, SessionRefused>

export const refuse = (reason: SessionRefusal): SessionDecision => ({
  events: [],
  reply: Exit.fail(new SessionRefused({ reason })),
  signals: []
})

export const decided = (
  reply: SessionReply,
  events: ReadonlyArray<SessionEvent> = [],
  signals: ReadonlyArray<Signal<SessionCommand>> = []
): SessionDecision => ({ events, reply: Exit.succeed(reply), signals })

export const done: SessionReply = { _tag: "Done" }

export const notify = (notice: SessionNotice): Signal<SessionCommand> => ({ _tag: "Notify", notice })

/** A decision about the lifecycle in the making; `life` has its events folded in. */
export interface Draft {
  readonly state: SessionState
  readonly nowMs: number
  life: SessionLife
  readonly events: Array<SessionEvent>
  readonly notices: Array<SessionNotice>
}

export const draftOf = (state: SessionState, nowMs: number): Draft => ({
  state,
  nowMs,
  life: state.life,
  events: [],
  notices: []
})

export const apply = (draft: Draft, event: LifecycleEvent): void => {
  draft.events.push(event)
  draft.life = foldLife(draft.life, event)
}

export const isAbsent = ({ life }: Draft): boolean => life.connectionId === null && life.expiresAtMs === null

const deadline = (
  key: string,
  beforeMs: number | null,
  afterMs: number | null,
  command: SessionCommand
): ReadonlyArray<Signal<SessionCommand>> => {
  if (afterMs !== null) return [{ _tag: "SetDeadline", key, atMs: afterMs, command }]
  return beforeMs === null ? [] : [{ _tag: "CancelDeadline", key }]
}

/** The deadlines of a life that follows `before`. */
export const deadlines = (before: SessionLife, after: SessionLife): ReadonlyArray<Signal<SessionCommand>> => [
  ...deadline("expire", before.expiresAtMs, after.expiresAtMs, { _tag: "Expire" }),
  ...deadline("will", before.willAtMs, after.willAtMs, { _tag: "WillDue" })
]

export const decisionOf = (draft: Draft, reply: SessionReply): SessionDecision =>
  decided(reply, draft.events, [...deadlines(draft.state.life, draft.life), ...draft.notices.map(notify)])
