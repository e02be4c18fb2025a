import { contextWeightChange, weightOfContext } from "../groupWeight.ts"
import {
  type ClassicContext,
  type ClassicEvent,
  emptyContext,
  type Member,
  type PendingMember
} from "./classicContext.ts"
import {
  type ClassicSnapshot,
  type ClassicStateName,
  initialSnapshot,
  nextSnapshot,
  snapshotOf
} from "./classicMachine.ts"

/** Kafka's classic protocol: JoinGroup, SyncGroup, Heartbeat and LeaveGroup, with assignments by the leader. */
export interface ClassicProtocol {
  readonly _tag: "Classic"
  readonly machine: ClassicSnapshot
  /** The weight of members and pending members, see `groupWeight.ts`. `evolveClassic` keeps it; it is not saved. */
  readonly membersBytes: number
}

/** As whoever comes first finds it. */
export const newClassic: ClassicProtocol = { _tag: "Classic", machine: initialSnapshot, membersBytes: 0 }

/** No members, none expected. */
export const hasNobody = ({ machine }: ClassicProtocol): boolean =>
  machine.value === "Empty" && machine.context.members.size === 0 && machine.context.pending.size === 0

/** Without a generation nothing remains of those who were given an id and never joined: as of a protocol that is not there. */
const isUnused = (classic: ClassicProtocol): boolean => classic.machine.context.generation === 0 && hasNobody(classic)

/** Undefined: none yet, or nothing to remember of it any more. Throws for an event that the state does not take. */
export const evolveClassic = (
  before: ClassicProtocol | undefined,
  event: ClassicEvent
): ClassicProtocol | undefined => {
  const { machine, membersBytes } = before ?? newClassic
  const next = nextSnapshot(machine, event)
  const change = contextWeightChange(machine.context, next.context, event)
  const after: ClassicProtocol = { _tag: "Classic", machine: next, membersBytes: membersBytes + change }
  return isUnused(after) ? undefined : after
}

export interface SavedClassic extends Omit<ClassicContext, "members" | "pending" | "emptySinceMs"> {
  readonly _tag: "Classic"
  readonly state: ClassicStateName
  readonly members: ReadonlyArray<Member>
  readonly pending: ReadonlyArray<PendingMember>
  /** Left out while it is null. */
  readonly emptySinceMs?: number
}

export const saveClassic = ({ machine }: ClassicProtocol): SavedClassic => {
  const { members, pending, ...rest } = machine.context
  return {
    _tag: "Classic",
    state: machine.value,
    generation: rest.generation,
    protocolType: rest.protocolType,
    protocolName: rest.protocolName,
    leader: rest.leader,
    tickets: rest.tickets,
    initialRebalance: rest.initialRebalance,
    members: [...members.values()],
    pending: [...pending.values()],
    ...(rest.emptySinceMs === null ? {} : { emptySinceMs: rest.emptySinceMs })
  }
}

export const loadClassic = ({ _tag, state, members, pending, ...rest }: SavedClassic): ClassicProtocol => {
  const context: ClassicContext = {
    ...emptyContext,
    ...rest,
    members: new Map(members.map((member) => [member.memberId, member])),
    pending: new Map(pending.map((member) => [member.memberId, member]))
  }
  return { _tag, machine: snapshotOf(state, context), membersBytes: weightOfContext(context) }
}
