import type { GroupEvent, MemberDetails, MemberProtocol } from "../GroupProtocol.ts"

export interface Member {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocols: ReadonlyArray<MemberProtocol>
  /** The assignment of the last generation in which a leader gave one. */
  readonly assignment: Uint8Array
  /** The parked join's; 0: not waiting for a generation. */
  readonly joinTicket: number
  /** The sync's in this generation; 0: not synced yet. */
  readonly syncTicket: number
  /** Has never seen a generation: only its parked join shows that it lives. */
  readonly isNew: boolean
}

/** Has an id and has not joined with it yet (KIP-394). */
export interface PendingMember {
  readonly memberId: string
  readonly sessionTimeoutMs: number
}

export interface ClassicContext {
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string | null
  /** By member id, in the order of joining. */
  readonly members: ReadonlyMap<string, Member>
  readonly pending: ReadonlyMap<string, PendingMember>
  /** Tickets given so far; every parked reply has its own. */
  readonly tickets: number
  /** The rebalance under way began in an Empty group. */
  readonly initialRebalance: boolean
  /** When the last member left, Unix ms; null: it has members, never had any, or the journal is too old to tell. */
  readonly emptySinceMs: number | null
}

export const noBytes = new Uint8Array(0)

export const emptyContext: ClassicContext = {
  generation: 0,
  protocolType: null,
  protocolName: null,
  leader: null,
  members: new Map(),
  pending: new Map(),
  tickets: 0,
  initialRebalance: false,
  emptySinceMs: null
}

/** The events that the machine folds. */
export type ClassicEvent = Exclude<
  GroupEvent,
  { readonly _tag: `Offsets${string}` | `PendingOffsets${string}` | "GroupDeleted" }
>

export const staticMemberId = (context: ClassicContext, groupInstanceId: string): string | undefined => {
  for (const member of context.members.values()) {
    if (member.groupInstanceId === groupInstanceId) return member.memberId
  }
  return undefined
}

export const awaitingJoin = (context: ClassicContext): number => {
  let count = 0
  for (const member of context.members.values()) if (member.joinTicket > 0) count++
  return count
}

/** Also those that were given an id must have joined: they are about to. */
export const hasAllMembersJoined = (context: ClassicContext): boolean =>
  context.pending.size === 0 && awaitingJoin(context) === context.members.size

export const hasAllMembersSynced = (context: ClassicContext): boolean => {
  for (const member of context.members.values()) if (member.syncTicket === 0) return false
  return true
}

/** The longest of the members': as long as a rebalance waits for them. */
export const rebalanceTimeoutMs = (context: ClassicContext): number => {
  let timeoutMs = 0
  for (const member of context.members.values()) timeoutMs = Math.max(timeoutMs, member.rebalanceTimeoutMs)
  return timeoutMs
}

const protocolsOfAll = (context: ClassicContext): ReadonlySet<string> => {
  const supporters = new Map<string, number>()
  for (const member of context.members.values()) {
    for (const name of new Set(member.protocols.map((protocol) => protocol.name))) {
      supporters.set(name, (supporters.get(name) ?? 0) + 1)
    }
  }
  const common = new Set<string>()
  for (const [name, count] of supporters) if (count === context.members.size) common.add(name)
  return common
}

/** Whether a member with these protocols can share one with all others. A group without members takes any. */
export const supportsProtocols = (
  context: ClassicContext,
  protocolType: string,
  protocols: ReadonlyArray<MemberProtocol>
): boolean => {
  if (protocolType === "" || protocols.length === 0) return false
  if (context.members.size === 0) return true
  if (context.protocolType !== protocolType) return false
  const common = protocolsOfAll(context)
  return protocols.some((protocol) => common.has(protocol.name))
}

/** Each member votes for the first of its protocols that all know; the votes decide, then the order of joining. */
export const selectProtocol = (context: ClassicContext): string => {
  const common = protocolsOfAll(context)
  const votes = new Map<string, number>()
  for (const member of context.members.values()) {
    const choice = member.protocols.find((protocol) => common.has(protocol.name))
    if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
  }
  let chosen: string | undefined
  for (const [name, count] of votes) {
    if (chosen === undefined || count > (votes.get(chosen) ?? 0)) chosen = name
  }
  if (chosen === undefined) throw new Error("the members share no protocol, which no join may bring about")
  return chosen
}

export const sameProtocols = (a: ReadonlyArray<MemberProtocol>, b: ReadonlyArray<MemberProtocol>): boolean =>
  a.length === b.length &&
  a.every((protocol, i) => {
    const other = b[i]
    return (
      other !== undefined && other.name === protocol.name && Buffer.compare(other.metadata, protocol.metadata) === 0
    )
  })

const details = (event: MemberDetails) => ({
  memberId: event.memberId,
  clientId: event.clientId,
  clientHost: event.clientHost,
  sessionTimeoutMs: event.sessionTimeoutMs,
  rebalanceTimeoutMs: event.rebalanceTimeoutMs,
  protocols: event.protocols,
  joinTicket: event.ticket
})

const memberOf = (context: ClassicContext, memberId: string): Member => {
  const member = context.members.get(memberId)
  if (member === undefined) throw new Error(`the journal names a member that is not in the group: ${memberId}`)
  return member
}

const without = <V>(map: ReadonlyMap<string, V>, key: string): ReadonlyMap<string, V> => {
  const copy = new Map(map)
  copy.delete(key)
  return copy
}

const mapMembers = (context: ClassicContext, change: (member: Member) => Member): ReadonlyMap<string, Member> => {
  const members = new Map<string, Member>()
  for (const [id, member] of context.members) members.set(id, change(member))
  return members
}

const joined = (context: ClassicContext, event: ClassicEvent & { _tag: "MemberJoined" }): ClassicContext => {
  const first = context.members.size === 0
  const member: Member = {
    ...details(event),
    groupInstanceId: event.groupInstanceId,
    assignment: noBytes,
    syncTicket: 0,
    isNew: true
  }
  return {
    ...context,
    protocolType: first ? event.protocolType : context.protocolType,
    leader: context.leader ?? event.memberId,
    members: new Map(context.members).set(event.memberId, member),
    pending: context.pending.has(event.memberId) ? without(context.pending, event.memberId) : context.pending,
    emptySinceMs: null,
    tickets: Math.max(context.tickets, event.ticket)
  }
}

/** The new member stands where the old one stood, leads if that one led, and keeps its assignment (KIP-345). */
const replaced = (context: ClassicContext, event: ClassicEvent & { _tag: "MemberReplaced" }): ClassicContext => {
  memberOf(context, event.fencedMemberId)
  const members = new Map<string, Member>()
  for (const [id, member] of context.members) {
    // Answered at once it takes over a generation, in which its predecessor's sync counts.
    const syncTicket = event.ticket === 0 ? member.syncTicket : 0
    if (id === event.fencedMemberId) members.set(event.memberId, { ...member, ...details(event), syncTicket })
    else members.set(id, member)
  }
  return {
    ...context,
    members,
    leader: context.leader === event.fencedMemberId ? event.memberId : context.leader,
    tickets: Math.max(context.tickets, event.ticket)
  }
}

const left = (context: ClassicContext, memberId: string): ClassicContext => {
  memberOf(context, memberId)
  const members = without(context.members, memberId)
  const next = members.keys().next()
  return { ...context, members, leader: context.leader !== memberId ? context.leader : next.done ? null : next.value }
}

const forgetTickets = (context: ClassicContext, ticketsUpTo: number): ClassicContext => ({
  ...context,
  // Whoever was parked has to join again; when all have, there is nobody else to wait for.
  initialRebalance: false,
  members: mapMembers(context, (member) => ({
    ...member,
    joinTicket: member.joinTicket <= ticketsUpTo ? 0 : member.joinTicket,
    syncTicket: member.syncTicket <= ticketsUpTo ? 0 : member.syncTicket
  }))
})

/** The context after one event. Throws for an event that does not fit, which is a defect or a foreign journal. */
export const foldContext = (context: ClassicContext, event: ClassicEvent): ClassicContext => {
  switch (event._tag) {
    case "MemberIdAssigned": {
      const { memberId, sessionTimeoutMs } = event
      return { ...context, pending: new Map(context.pending).set(memberId, { memberId, sessionTimeoutMs }) }
    }
    case "PendingMemberLeft":
      return { ...context, pending: without(context.pending, event.memberId) }
    case "MemberJoined":
      return joined(context, event)
    case "MemberUpdated": {
      const member = { ...memberOf(context, event.memberId), ...details(event) }
      const members = new Map(context.members).set(event.memberId, member)
      return { ...context, members, tickets: Math.max(context.tickets, event.ticket) }
    }
    case "MemberReplaced":
      return replaced(context, event)
    case "MemberLeft":
      return left(context, event.memberId)
    case "RebalanceStarted":
      return {
        ...context,
        initialRebalance: event.initial,
        members: mapMembers(context, (member) => (member.syncTicket === 0 ? member : { ...member, syncTicket: 0 }))
      }
    case "RebalanceCompleted":
      return {
        ...context,
        generation: event.generation,
        protocolName: event.protocolName,
        leader: event.leader,
        initialRebalance: false,
        emptySinceMs: event.emptySinceMs ?? null,
        members: mapMembers(context, (member) => ({ ...member, joinTicket: 0, isNew: false }))
      }
    case "MemberSynced": {
      const member = { ...memberOf(context, event.memberId), syncTicket: event.ticket }
      const members = new Map(context.members).set(event.memberId, member)
      return { ...context, members, tickets: Math.max(context.tickets, event.ticket) }
    }
    case "AssignmentStored": {
      const assignments = new Map(event.assignments.map((each) => [each.memberId, each.assignment]))
      return {
        ...context,
        members: mapMembers(context, (member) => ({
          ...member,
          assignment: assignments.get(member.memberId) ?? noBytes
        }))
      }
    }
    case "ParkedRepliesForgotten":
      return forgetTickets(context, event.ticketsUpTo)
  }
}
