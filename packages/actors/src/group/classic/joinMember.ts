import * as Exit from "effect/Exit"
import {
  foldContext,
  type ClassicContext,
  type Member,
  sameProtocols,
  selectProtocol,
  supportsProtocols
} from "./classicContext.ts"
import {
  type Answer,
  apply,
  cancelDeadline,
  type Draft,
  growthExcess,
  park,
  refused,
  setDeadline
} from "../groupDraft.ts"
import {
  contextOf,
  findMember,
  joinKey,
  memberRefusal,
  nextTicket,
  pendingKey,
  rebalanceInProgress,
  releaseJoin,
  releaseSync,
  sessionKey,
  stateNameOf,
  touchSession
} from "./classicDraft.ts"
import type { GroupEvent, GroupSettings, JoinMember, MemberDetails } from "../GroupProtocol.ts"
import { weightOfJoining } from "../groupWeight.ts"
import { joinedReply, maybeCompleteJoin, rebalanceOrCompleteJoin, removeMember, removePending } from "./rebalance.ts"

const reasonLengthMax = 255

/** JoinGroup. Parked until the generation is complete, unless the member has nothing new to say. */
export const joinMember = (draft: Draft, command: JoinMember): Answer | undefined => {
  const { groupId } = draft.state
  if (groupId === "" || groupId.length > draft.settings.nameLengthMax) {
    return refused("InvalidGroupId", `A group id has 1 to ${draft.settings.nameLengthMax} characters.`)
  }
  // First of all: a client that holds partitions of a generation that went on without it must hear that it lost them,
  // whatever else is wrong with its request. Any other refusal it would repeat for ever, and keep them.
  const stranger = refuseStranger(draft, command)
  if (stranger !== undefined) return stranger
  const invalid = refuseInvalid(draft.settings, command)
  if (invalid !== undefined) return invalid
  const context = contextOf(draft)
  if (!supportsProtocols(context, command.protocolType, command.protocols)) {
    return refused("InconsistentGroupProtocol", "No protocol of the member is known to all others.", command.memberId)
  }
  const excess = excessOf(draft, command)
  if (excess !== undefined) return removeTooLarge(draft, command.memberId, excess)
  return command.memberId === "" ? joinUnknown(draft, command) : joinKnown(draft, command)
}

const joinUnknown = (draft: Draft, command: JoinMember): Answer | undefined => {
  const context = contextOf(draft)
  if (context.members.has(command.proposedMemberId) || context.pending.has(command.proposedMemberId)) {
    throw new Error(`proposed member id ${command.proposedMemberId} is in use`)
  }
  const fenced = fencedBy(context, command)
  if (fenced !== undefined) return replaceStatic(draft, command, fenced)
  if (context.members.size + context.pending.size >= draft.settings.membersMax) {
    return refused("GroupMaxSizeReached", `The group has ${draft.settings.membersMax} members already.`)
  }
  return command.requireKnownMemberId && command.groupInstanceId === null
    ? assignMemberId(draft, command)
    : addMember(draft, command, command.proposedMemberId)
}

/** The member that a static one replaces when it comes without a member id. */
const fencedBy = ({ members }: ClassicContext, { memberId, groupInstanceId }: JoinMember): Member | undefined => {
  if (memberId !== "" || groupInstanceId === null) return undefined
  for (const member of members.values()) if (member.groupInstanceId === groupInstanceId) return member
  return undefined
}

const refuseStranger = (draft: Draft, { memberId, groupInstanceId }: JoinMember): Answer | undefined => {
  const context = contextOf(draft)
  if (memberId === "") return undefined
  if (context.pending.has(memberId)) {
    return groupInstanceId === null
      ? undefined
      : refused("InvalidRequest", "A member id given to a dynamic member joins as a static one.", memberId)
  }
  const member = findMember(context, memberId, groupInstanceId)
  return typeof member === "string" ? memberRefusal(member, memberId) : undefined
}

const refuseInvalid = (settings: GroupSettings, command: JoinMember): Answer | undefined => {
  const { sessionTimeoutMs, protocols, memberId } = command
  if (!(sessionTimeoutMs >= settings.sessionTimeoutMsMin && sessionTimeoutMs <= settings.sessionTimeoutMsMax)) {
    const { sessionTimeoutMsMin, sessionTimeoutMsMax } = settings
    return refused(
      "InvalidSessionTimeout",
      `A session timeout is ${sessionTimeoutMsMin} to ${sessionTimeoutMsMax} ms.`,
      memberId
    )
  }
  const names = [command.memberId, command.proposedMemberId, command.groupInstanceId ?? "", command.clientId]
  names.push(command.clientHost, command.protocolType, ...protocols.slice(0, settings.memberProtocolsMax).map(nameOf))
  if (names.some((name) => name.length > settings.nameLengthMax)) {
    return refused("InvalidRequest", `A name is longer than ${settings.nameLengthMax} characters.`)
  }
  if (protocols.length > settings.memberProtocolsMax) {
    return refused("InvalidRequest", `A member has at most ${settings.memberProtocolsMax} protocols.`, memberId)
  }
  return undefined
}

/** Which bound the member's metadata would break, in words. */
const excessOf = (draft: Draft, command: JoinMember): string | undefined => {
  const { memberMetadataBytesMax } = draft.settings
  const metadataBytes = command.protocols.reduce((sum, protocol) => sum + protocol.metadata.length, 0)
  if (metadataBytes > memberMetadataBytesMax) {
    return `The member's metadata is of ${metadataBytes} bytes; ${memberMetadataBytesMax} are the most.`
  }
  const context = contextOf(draft)
  const former = context.members.get(command.memberId) ?? fencedBy(context, command)
  const memberId = command.memberId === "" ? command.proposedMemberId : command.memberId
  const joining = weightOfJoining({ ...command, memberId })
  return growthExcess(draft, joining - (former === undefined ? 0 : weightOfJoining(former)))
}

/**
 * Refused for good, so that somebody is told. A member loses its place, and is first told that: it gives its partitions
 * up, and comes back as a new one with metadata that no longer lists them, which may be small enough.
 */
const removeTooLarge = (draft: Draft, memberId: string, excess: string): Answer => {
  const context = contextOf(draft)
  const member = context.members.get(memberId)
  if (member !== undefined) {
    removeMember(draft, member, "metadata too large", excess)
    rebalanceOrCompleteJoin(draft, { memberId, reason: `the metadata of ${memberId} is too large` })
    return memberRefusal("UnknownMemberId", memberId)
  }
  if (context.pending.has(memberId)) {
    removePending(draft, memberId, "metadata too large")
    maybeCompleteJoin(draft)
  }
  return refused("GroupMaxSizeReached", excess, memberId)
}

const nameOf = (protocol: { readonly name: string }): string => protocol.name

/** KIP-394: whoever never comes back with the id was never a member, and no rebalance was made for it. */
const assignMemberId = (draft: Draft, command: JoinMember): Answer => {
  const { proposedMemberId: memberId, clientId, clientHost, sessionTimeoutMs } = command
  apply(draft, { _tag: "MemberIdAssigned", memberId, clientId, clientHost, sessionTimeoutMs })
  setDeadline(draft, pendingKey(memberId), sessionTimeoutMs, { _tag: "ExpirePendingMember", memberId })
  return refused("MemberIdRequired", "Join again with this member id.", memberId)
}

const joinKnown = (draft: Draft, command: JoinMember): Answer | undefined => {
  const { memberId } = command
  const context = contextOf(draft)
  const member = context.members.get(memberId)
  if (member === undefined) {
    cancelDeadline(draft, pendingKey(memberId))
    return addMember(draft, command, memberId)
  }
  const state = stateNameOf(draft)
  const isLeader = context.leader === memberId
  const unchanged = sameProtocols(member.protocols, command.protocols)
  // In CompletingRebalance the first answer may have been lost. In Stable a leader joins again on purpose, such as
  // when the partitions have become more; a follower's join says nothing then.
  if (unchanged && (state === "CompletingRebalance" || (state === "Stable" && !isLeader))) {
    touchSession(draft, member)
    return Exit.succeed(joinedReply(context, memberId, isLeader))
  }
  return updateMember(draft, command, member)
}

const detailsOf = (draft: Draft, command: JoinMember, memberId: string, ticket: number): MemberDetails => {
  const { clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols, reason } = command
  // JoinGroup v0 has none and says -1.
  const waitMs = rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs
  return {
    memberId,
    clientId,
    clientHost,
    sessionTimeoutMs,
    rebalanceTimeoutMs: Math.min(waitMs, draft.settings.rebalanceTimeoutMsMax),
    protocols,
    ticket,
    reason: reason === null ? null : reason.slice(0, reasonLengthMax)
  }
}

const because = (what: string, clientReason: string | null): string =>
  clientReason === null || clientReason === "" ? what : `${what}: ${clientReason.slice(0, reasonLengthMax)}`

const addMember = (draft: Draft, command: JoinMember, memberId: string): undefined => {
  const { groupInstanceId, protocolType } = command
  const ticket = nextTicket(draft)
  apply(draft, {
    _tag: "MemberJoined",
    groupInstanceId,
    protocolType,
    ...detailsOf(draft, command, memberId, ticket)
  })
  park(draft, joinKey(memberId, ticket))
  setDeadline(draft, sessionKey(memberId), draft.settings.newMemberJoinTimeoutMs, { _tag: "ExpireMember", memberId })
  rebalanceOrCompleteJoin(draft, { memberId, reason: because(`new member ${memberId}`, command.reason) })
}

const updateMember = (draft: Draft, command: JoinMember, member: Member): undefined => {
  const { memberId } = member
  const leads = contextOf(draft).leader === memberId
  const changed = !sameProtocols(member.protocols, command.protocols)
  const ticket = nextTicket(draft)
  releaseJoin(draft, member, rebalanceInProgress(memberId))
  apply(draft, { _tag: "MemberUpdated", ...detailsOf(draft, command, memberId, ticket) })
  park(draft, joinKey(memberId, ticket))
  keepWhileParked(draft, member)
  const what = changed
    ? `${memberId} changed its protocols`
    : leads
      ? `leader ${memberId} joined again`
      : `${memberId} joined again`
  rebalanceOrCompleteJoin(draft, { memberId, reason: because(what, command.reason) })
}

const keepWhileParked = (draft: Draft, { memberId, isNew }: Member): void => {
  if (!isNew) return cancelDeadline(draft, sessionKey(memberId))
  setDeadline(draft, sessionKey(memberId), draft.settings.newMemberJoinTimeoutMs, { _tag: "ExpireMember", memberId })
}

/**
 * KIP-345: a static member has restarted and comes without an id. While the group is Stable and would choose the same
 * protocol, it takes over its predecessor's assignment without a rebalance.
 */
const replaceStatic = (draft: Draft, command: JoinMember, fenced: Member): Answer | undefined => {
  const memberId = command.proposedMemberId
  const before = contextOf(draft)
  const state = stateNameOf(draft)
  const ticket = nextTicket(draft)
  const replacedWith = (parkedTicket: number) => ({
    _tag: "MemberReplaced" as const,
    groupInstanceId: fenced.groupInstanceId ?? "",
    fencedMemberId: fenced.memberId,
    ...detailsOf(draft, command, memberId, parkedTicket)
  })
  const event: Extract<GroupEvent, { _tag: "MemberReplaced" }> = replacedWith(0)
  const takesOver = state === "Stable" && selectProtocol(foldContext(before, event)) === before.protocolName
  releaseJoin(draft, fenced, memberRefusal("FencedInstanceId", fenced.memberId))
  if (state === "CompletingRebalance") {
    releaseSync(draft, fenced, memberRefusal("FencedInstanceId", fenced.memberId))
  }
  cancelDeadline(draft, sessionKey(fenced.memberId))
  if (takesOver) {
    apply(draft, event)
    touchSession(draft, { ...fenced, memberId, sessionTimeoutMs: command.sessionTimeoutMs })
    return Exit.succeed(takenOver(draft, command, memberId, before.leader))
  }
  apply(draft, replacedWith(ticket))
  park(draft, joinKey(memberId, ticket))
  keepWhileParked(draft, { ...fenced, memberId })
  if (state === "PreparingRebalance") maybeCompleteJoin(draft)
  else {
    const what = `static member ${fenced.groupInstanceId} came back as ${memberId}`
    rebalanceOrCompleteJoin(draft, { memberId, reason: because(what, command.reason) })
  }
  return undefined
}

/**
 * KIP-814: a leader that has come back learns of the members and must not assign. Before JoinGroup v9 it could not
 * be told, so it is given the old leader's id and takes itself for a follower.
 */
const takenOver = (draft: Draft, command: JoinMember, memberId: string, leaderBefore: string | null) => {
  const context = contextOf(draft)
  const leads = context.leader === memberId
  if (!command.skipAssignmentSupported) {
    return { ...joinedReply(context, memberId, false), leader: leaderBefore ?? "" }
  }
  return { ...joinedReply(context, memberId, leads), skipAssignment: leads }
}
