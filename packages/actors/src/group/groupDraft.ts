import type { Decision, Signal } from "@logbrook/core/actor/Definition"
import * as Exit from "effect/Exit"
import type { GroupContext, Member } from "./groupContext.ts"
import { staticMemberId } from "./groupContext.ts"
import {
  type Command,
  type GroupEvent,
  type GroupKind,
  type GroupRefusal,
  GroupRefused,
  type GroupSettings,
  type GroupStateName,
  type Reply
} from "./GroupProtocol.ts"
import { evolveGroup, type GroupState, weightBytesOf } from "./groupState.ts"
import { weightOfGroup } from "./groupWeight.ts"

export type Answer = Exit.Exit<Reply, GroupRefused>

/** A decision in the making: `state` already holds what `events` say. */
export interface Draft {
  readonly settings: GroupSettings
  readonly nowMs: number
  /** What all groups together may still grow by. */
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

export const decisionOf = (
  { events, signals, parkAs, parkedAnswer }: Draft,
  answer: Answer | undefined
): Decision<typeof GroupKind> => {
  const reply = answer ?? parkedAnswer
  return reply === undefined && parkAs !== undefined
    ? { events, reply, parkAs, signals }
    : { events, reply: reply ?? Exit.succeed({ _tag: "Done" }), signals }
}

export const contextOf = (draft: Draft): GroupContext => draft.state.machine.context

export const stateNameOf = (draft: Draft): GroupStateName => draft.state.machine.value

export const apply = (draft: Draft, event: GroupEvent): void => {
  applyAs(draft, event, evolveGroup(draft.state, event))
}

/** An event of which the state that it leads to was looked at already. */
export const applyAs = (draft: Draft, event: GroupEvent, next: GroupState): void => {
  draft.state = next
  draft.events.push(event)
}

/**
 * Which bound a group whose members and offsets grew by `contentBytes` would break, in words. What does not grow is taken,
 * should a bound have been lowered.
 */
export const growthExcess = ({ settings, state, roomBytes }: Draft, contentBytes: number): string | undefined => {
  if (contentBytes <= 0) return undefined
  const before = weightBytesOf(state)
  const after = weightOfGroup(state.groupId, state.membersBytes + state.offsets.weightBytes + contentBytes)
  if (after > settings.bytesMax) return `The group would take more than ${settings.bytesMax} bytes.`
  return after - before > roomBytes ? "There is no memory for more groups, members or offsets." : undefined
}

/** A ticket is part of the key, so that a client's retry never meets the reply of its first try. */
export const joinKey = (memberId: string, ticket: number): string => `join/${memberId}/${ticket}`

export const syncKey = (memberId: string, ticket: number): string => `sync/${memberId}/${ticket}`

export const nextTicket = (draft: Draft): number => contextOf(draft).tickets + 1

export const park = (draft: Draft, key: string): void => {
  draft.parkAs = key
}

const release = (draft: Draft, key: string, exit: Answer): void => {
  if (key === draft.parkAs) draft.parkedAnswer = exit
  else draft.signals.push({ _tag: "Release", key, exit })
}

export const releaseJoin = (draft: Draft, { memberId, joinTicket }: Member, exit: Answer): void => {
  if (joinTicket > 0) release(draft, joinKey(memberId, joinTicket), exit)
}

/** A sync is parked only until the leader's assignment; after that its ticket says that it was answered. */
export const releaseSync = (draft: Draft, { memberId, syncTicket }: Member, exit: Answer): void => {
  if (syncTicket > 0) release(draft, syncKey(memberId, syncTicket), exit)
}

export const setDeadline = (draft: Draft, key: string, delayMs: number, command: Command): void => {
  draft.signals.push({ _tag: "SetDeadline", key, atMs: draft.nowMs + delayMs, command })
}

export const cancelDeadline = (draft: Draft, key: string): void => {
  draft.signals.push({ _tag: "CancelDeadline", key })
}

export const sessionKey = (memberId: string): string => `session/${memberId}`

export const pendingKey = (memberId: string): string => `pending/${memberId}`

/** The member has shown that it lives. */
export const touchSession = (draft: Draft, { memberId, sessionTimeoutMs }: Member): void =>
  setDeadline(draft, sessionKey(memberId), sessionTimeoutMs, { _tag: "ExpireMember", memberId })

export const refused = (reason: GroupRefusal, message: string, memberId = ""): Exit.Exit<never, GroupRefused> =>
  Exit.fail(new GroupRefused({ reason, memberId, message }))

/** The member, unless it is unknown or was fenced by a newer one of the same instance id: then why not. */
export const findMember = (
  context: GroupContext,
  memberId: string,
  groupInstanceId: string | null
): Member | "UnknownMemberId" | "FencedInstanceId" => {
  const member = context.members.get(memberId)
  if (member !== undefined && (groupInstanceId === null || member.groupInstanceId === groupInstanceId)) return member
  if (groupInstanceId === null) return "UnknownMemberId"
  return staticMemberId(context, groupInstanceId) === undefined ? "UnknownMemberId" : "FencedInstanceId"
}

export const memberRefusal = (
  reason: "UnknownMemberId" | "FencedInstanceId",
  memberId: string
): Exit.Exit<never, GroupRefused> =>
  reason === "UnknownMemberId"
    ? refused(reason, `The group has no member ${JSON.stringify(memberId)}.`, memberId)
    : refused(reason, `Member ${JSON.stringify(memberId)} was replaced by a newer one of its instance id.`, memberId)

export const illegalGeneration = (context: GroupContext, generation: number, memberId: string) =>
  refused("IllegalGeneration", `Generation ${generation} is not the group's, ${context.generation}.`, memberId)

export const rebalanceInProgress = (memberId: string) =>
  refused("RebalanceInProgress", "The group is rebalancing: join again.", memberId)
