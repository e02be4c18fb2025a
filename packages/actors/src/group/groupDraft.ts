import type { Decision, Signal } from "@logbrook/core/actor/Definition"
import * as Exit from "effect/Exit"
import {
  type Command,
  type GroupEvent,
  type GroupKind,
  type GroupRefusal,
  GroupRefused,
  type GroupSettings,
  type Reply
} from "./GroupProtocol.ts"
import { contentBytesOf, evolveGroup, type GroupState, weightBytesOf } from "./groupState.ts"
import { weightOfGroup } from "./groupWeight.ts"

export type Answer = Exit.Exit<Reply, GroupRefused>

/** A decision in the making: `state` already holds what `events` say. */
export interface Draft {
  readonly settings: GroupSettings
  readonly nowMs: number
  /** The bytes by which all groups together may still grow. */
  readonly roomBytes: number
  state: GroupState
  readonly events: Array<GroupEvent>
  readonly signals: Array<Signal<typeof GroupKind>>
  /** Where this command's own reply waits, once it is parked. */
  parkAs: string | undefined
  /** Set if a later step of the same decision releases it. */
  parkedAnswer: Answer | undefined
}

export const draftOf = (settings: GroupSettings, state: GroupState, nowMs: number, roomBytes: number): Draft => ({
  settings,
  nowMs,
  roomBytes,
  state,
  events: [],
  signals: [],
  parkAs: undefined,
  parkedAnswer: undefined
})

/** The state is handed over: no event changes one in place. */
export const decisionOf = (
  { state, events, signals, parkAs, parkedAnswer }: Draft,
  answer: Answer | undefined
): Decision<typeof GroupKind, Command, GroupState> => {
  const reply = answer ?? parkedAnswer
  const next = events.length === 0 ? {} : { next: state }
  return reply === undefined && parkAs !== undefined
    ? { events, reply, parkAs, signals, ...next }
    : { events, reply: reply ?? Exit.succeed({ _tag: "Done" }), signals, ...next }
}

export const apply = (draft: Draft, event: GroupEvent): void => {
  applyAs(draft, event, evolveGroup(draft.state, event))
}

/** An event of which the state that it leads to was looked at already. */
export const applyAs = (draft: Draft, event: GroupEvent, next: GroupState): void => {
  draft.state = next
  draft.events.push(event)
}

/**
 * The bound that a group would break if its members and offsets grew by `contentBytes`, in words. A group that does
 * not grow breaks none, even if a bound was lowered.
 */
export const growthExcess = ({ settings, state, roomBytes }: Draft, contentBytes: number): string | undefined => {
  if (contentBytes <= 0) return undefined
  const before = weightBytesOf(state)
  const after = weightOfGroup(state.groupId, contentBytesOf(state) + contentBytes)
  if (after > settings.bytesMax) return `The group would take more than ${settings.bytesMax} bytes.`
  return after - before > roomBytes ? "There is no memory for more groups, members or offsets." : undefined
}

export const park = (draft: Draft, key: string): void => {
  draft.parkAs = key
}

/** Answers a parked reply; perhaps that of this very command. */
export const release = (draft: Draft, key: string, exit: Answer): void => {
  if (key === draft.parkAs) draft.parkedAnswer = exit
  else draft.signals.push({ _tag: "Release", key, exit })
}

export const setDeadline = (draft: Draft, key: string, delayMs: number, command: Command): void => {
  draft.signals.push({ _tag: "SetDeadline", key, atMs: draft.nowMs + delayMs, command })
}

export const cancelDeadline = (draft: Draft, key: string): void => {
  draft.signals.push({ _tag: "CancelDeadline", key })
}

export const refused = (reason: GroupRefusal, message: string, memberId = ""): Exit.Exit<never, GroupRefused> =>
  Exit.fail(new GroupRefused({ reason, memberId, message }))
