import type { Member } from "@logbrook/actors/group/classic/classicContext"
import { type ClassicProtocol, newClassic } from "@logbrook/actors/group/classic/classicState"
import type { GroupStateName } from "@logbrook/actors/group/GroupProtocol"
import type { GroupState } from "@logbrook/actors/group/groupState"
import { listOffsets } from "@logbrook/actors/group/offsets/offsetTable"
import type { PartitionState } from "@logbrook/actors/partition/Partition"
import { saveSession, type SessionState } from "@logbrook/actors/session/sessionState"
import type { TransactionState } from "@logbrook/actors/transaction/transactionState"
import { kindOf, nameOf, type ActorId, type AnyDefinition } from "@logbrook/core/actor/Definition"
import { assignedPartitions } from "./consumerProtocol.ts"
import { isoTime, plain, type Plain } from "./plain.ts"
import type { StreamNames } from "./StreamNames.ts"

/** A group as DescribeGroups shows it, and what it does not show: who is waited for. */
export const presentGroup = (state: GroupState): Plain => ({
  group: state.groupId,
  ...presentClassic(state.protocol ?? newClassic),
  offsets: listOffsets(state.offsets).map(({ stream, partition, offset, leaderEpoch, metadata, committedAtMs }) => ({
    stream,
    partition,
    offset,
    leaderEpoch,
    metadata,
    committedAt: isoTime(committedAtMs)
  })),
  pendingOffsets: [...state.pending.producers].flatMap(([producerId, { offsets }]) =>
    Array.from(offsets.values(), ({ stream, partition, offset, isOutdated }) => ({
      producerId,
      stream,
      partition,
      offset,
      isOutdated
    }))
  )
})

const timeOrNull = (ms: number): string | null => (ms === -1 ? null : isoTime(ms))

/** A transactional id as DescribeTransactions shows it, and what it does not show: groups, and the time since when it is unused. */
export const presentTransaction = ({ transactionalId, name, life }: TransactionState) => ({
  transactionalId,
  state: name,
  producerId: life.producerId,
  producerEpoch: life.producerEpoch,
  timeoutMs: life.timeoutMs,
  startedAt: timeOrNull(life.startedAtMs),
  updatedAt: timeOrNull(life.updatedAtMs),
  partitions: Array.from(life.partitions.values(), ({ stream, partition }) => ({ stream, partition })),
  groups: [...life.groups]
})

const presentClassic = ({ machine: { value, context } }: ClassicProtocol) => ({
  state: value,
  generation: context.generation,
  protocolType: context.protocolType,
  protocol: context.protocolName,
  leader: context.leader,
  members: Array.from(context.members.values(), (member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    sessionTimeoutMs: member.sessionTimeoutMs,
    rebalanceTimeoutMs: member.rebalanceTimeoutMs,
    protocols: member.protocols.map(({ name }) => name),
    waitedFor: waitedFor(value, member),
    assignmentBytes: member.assignment.length,
    partitions: assignedOf(context.protocolType, member.assignment)
  })),
  emptySince: context.emptySinceMs === null ? null : isoTime(context.emptySinceMs),
  pendingMembers: [...context.pending.keys()]
})

/** The request that the group awaits from this member. */
const waitedFor = (state: GroupStateName, { joinTicket, syncTicket }: Member): "join" | "sync" | null => {
  if (state === "PreparingRebalance") return joinTicket === 0 ? "join" : null
  return syncTicket === 0 ? "sync" : null
}

const assignedOf = (protocolType: string | null, assignment: Uint8Array): Plain => {
  if (protocolType !== "consumer" || assignment.length === 0) return null
  return assignedPartitions(assignment) ?? null
}

const presentPartition = (state: PartitionState, names: StreamNames): Plain => ({
  stream: names.byLogId(state.logId)?.stream ?? null,
  partition: names.byLogId(state.logId)?.partition ?? null,
  logId: state.logId,
  logStartOffset: state.logStartOffset,
  nextOffset: state.nextOffset,
  isDeleted: state.isDeleted,
  newestRecordAt: state.maxTimestampMs === 0 ? null : isoTime(state.maxTimestampMs),
  epochs: plain(state.epochs),
  producers: Array.from(state.producers, ([producerId, { epoch, batches }]) => ({
    producerId,
    epoch,
    lastSequence: batches.at(-1)?.lastSequence ?? null
  }))
})

/** As it is saved, but each subscription for itself. */
const presentSession = (state: SessionState): Plain =>
  plain({ ...saveSession(state), subscriptions: [...state.subscriptions.values()] })

/** Any actor's state for people; kinds without a form of their own are shown as they are saved. */
export const presentState = (id: ActorId, definition: AnyDefinition, state: unknown, names: StreamNames): Plain => {
  if (kindOf(id) === "group") return presentGroup(state as GroupState)
  if (kindOf(id) === "transaction") return presentTransaction(state as TransactionState)
  if (kindOf(id) === "partition") return presentPartition(state as PartitionState, names)
  if (kindOf(id) === "session") return presentSession(state as SessionState)
  return plain(definition.save(state))
}

/** An event for people. The journal's timeline has only the references of records. */
export const presentEvent = (actor: ActorId, event: object, names: StreamNames): Plain => {
  if (!("_tag" in event) || event._tag !== "RecordsAppended") return plain(event)
  const { baseOffset, count } = event as unknown as { baseOffset: number; count: number }
  const stream = names.byLogId(Number(nameOf(actor)))
  return {
    ...(stream === undefined ? {} : { stream: stream.stream, partition: stream.partition }),
    ...(plain({ ...event, lastOffset: baseOffset + count - 1 }) as { readonly [name: string]: Plain })
  }
}
