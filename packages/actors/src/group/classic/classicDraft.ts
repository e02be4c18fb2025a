import type * as Exit from "effect/Exit"
import { type Answer, type Draft, refused, release, setDeadline } from "../groupDraft.ts"
import type { GroupRefused } from "../GroupProtocol.ts"
import { type ClassicContext, type Member, staticMemberId } from "./classicContext.ts"
import type { ClassicStateName } from "./classicMachine.ts"
import { type ClassicProtocol, newClassic } from "./classicState.ts"

export const classicOf = (draft: Draft): ClassicProtocol => draft.state.protocol ?? newClassic

export const contextOf = (draft: Draft): ClassicContext => classicOf(draft).machine.context

export const stateNameOf = (draft: Draft): ClassicStateName => classicOf(draft).machine.value

/** A ticket is part of the key, so that a client's retry never meets the reply of its first try. */
export const joinKey = (memberId: string, ticket: number): string => `join/${memberId}/${ticket}`

export const syncKey = (memberId: string, ticket: number): string => `sync/${memberId}/${ticket}`

export const nextTicket = (draft: Draft): number => contextOf(draft).tickets + 1

export const releaseJoin = (draft: Draft, { memberId, joinTicket }: Member, exit: Answer): void => {
  if (joinTicket > 0) release(draft, joinKey(memberId, joinTicket), exit)
}

/** A sync is parked only until the leader's assignment; after that its ticket says that it was answered. */
export const releaseSync = (draft: Draft, { memberId, syncTicket }: Member, exit: Answer): void => {
  if (syncTicket > 0) release(draft, syncKey(memberId, syncTicket), exit)
}

export const sessionKey = (memberId: string): string => `session/${memberId}`

export const pendingKey = (memberId: string): string => `pending/${memberId}`

/** The member has shown that it lives. */
export const touchSession = (draft: Draft, { memberId, sessionTimeoutMs }: Member): void =>
  setDeadline(draft, sessionKey(memberId), sessionTimeoutMs, { _tag: "ExpireMember", memberId })

/** The member, unless it is unknown or was fenced by a newer one of the same instance id: then why not. */
export const findMember = (
  context: ClassicContext,
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

export const illegalGeneration = (context: ClassicContext, generation: number, memberId: string) =>
  refused("IllegalGeneration", `Generation ${generation} is not the group's, ${context.generation}.`, memberId)

export const rebalanceInProgress = (memberId: string) =>
  refused("RebalanceInProgress", "The group is rebalancing: join again.", memberId)
