import { type Address, address, kind } from "@logbrook/core/actor/Kind"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import * as Data from "effect/Data"

/**
 * The commands, replies and events of a group's coordinator: its offsets, and Kafka's JoinGroup protocol
 * (KIP-62, KIP-134, KIP-345, KIP-394, KIP-814), without any wire type.
 * The actor keeps the byte arrays of commands: the shell hands over bytes that nobody writes to again.
 */

/** A way to assign partitions that a member knows. `metadata` is opaque (Connect and kafkajs differ). */
export interface MemberProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** A partition of a stream. Offsets hang on the topic id, so that a stream re-created under a name begins anew. */
export interface TopicPartition {
  readonly topicId: string
  readonly partition: number
}

export interface OffsetToCommit extends TopicPartition {
  /** The stream's name at the time of the commit, for answers and for people who read the journal. */
  readonly stream: string
  readonly offset: number
  /** -1: not known to the client. */
  readonly leaderEpoch: number
  readonly metadata: string
}

export interface JoinMember {
  readonly _tag: "JoinMember"
  /** Empty for a client that has none yet. */
  readonly memberId: string
  /** The id to give if the group needs a new one: never used before, such as `<clientId>-<uuid>`. */
  readonly proposedMemberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: ReadonlyArray<MemberProtocol>
  /** JoinGroup v4 and up (KIP-394): a first join is answered by `MemberIdRequired`. */
  readonly requireKnownMemberId: boolean
  /** JoinGroup v9 and up (KIP-814). */
  readonly skipAssignmentSupported: boolean
  readonly reason: string | null
}

export interface SyncMember {
  readonly _tag: "SyncMember"
  readonly generation: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** SyncGroup v5 and up; null before. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** The assignments that the leader made; empty from the others. */
  readonly assignments: ReadonlyArray<MemberAssignment>
}

export interface MemberAssignment {
  readonly memberId: string
  readonly assignment: Uint8Array
}

export interface Heartbeat {
  readonly _tag: "Heartbeat"
  readonly generation: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

export interface LeavingMember {
  /** May be empty if `groupInstanceId` is given: an operator removes a static member. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly reason: string | null
}

export interface LeaveMembers {
  readonly _tag: "LeaveMembers"
  readonly members: ReadonlyArray<LeavingMember>
}

export interface CommitOffsets {
  readonly _tag: "CommitOffsets"
  /** -1 with an empty member id: a simple consumer or an admin tool, accepted while the group is Empty. */
  readonly generation: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly offsets: ReadonlyArray<OffsetToCommit>
}

/** Offsets that are committed when the producer's transaction is (KIP-447). The coordinator of the transaction has the group. */
export interface AddPendingOffsets {
  readonly _tag: "AddPendingOffsets"
  readonly producerId: number
  readonly producerEpoch: number
  /** -1 and an empty member id: the client does not tell, whatever members the group has. */
  readonly generation: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly offsets: ReadonlyArray<OffsetToCommit>
}

/** The producer's transaction is over: its pending offsets are committed, or dropped. Nothing if there are none. */
export interface CompletePending {
  readonly _tag: "CompletePending"
  readonly producerId: number
  readonly outcome: TransactionOutcome
}

export interface FetchOffsets {
  readonly _tag: "FetchOffsets"
  /** Offsets that a transaction may be about to change are not told. */
  readonly requireStable: boolean
  /** null: all that were ever committed. */
  readonly partitions: ReadonlyArray<TopicPartition> | null
}

/** The streams are deleted; their offsets go. Told by the catalog. */
export interface ForgetStreams {
  readonly _tag: "ForgetStreams"
  readonly topicIds: ReadonlyArray<string>
}

/** Deletes offsets of topics that no member subscribes to, or of a group without members. */
export interface DeleteOffsets {
  readonly _tag: "DeleteOffsets"
  readonly partitions: ReadonlyArray<TopicPartition & { readonly stream: string }>
}

export interface DeleteGroup {
  readonly _tag: "DeleteGroup"
}

export interface Describe {
  readonly _tag: "Describe"
}

/** The commands that only the classic protocol's own deadlines send. */
export type ClassicDeadline =
  | { readonly _tag: "ExpireMember"; readonly memberId: string }
  | { readonly _tag: "ExpirePendingMember"; readonly memberId: string }
  /**
   * The join phase of the rebalance that follows `generation` is over; the initial rebalance is extended
   * up to `remainingMs` for as long as members join (`ticketsSeen` have until now).
   */
  | {
      readonly _tag: "CompleteJoin"
      readonly generation: number
      readonly ticketsSeen: number
      readonly remainingMs: number
    }
  | { readonly _tag: "ExpireSync"; readonly generation: number }
  /** After a restart: replies parked under tickets up to `ticketsUpTo` have lost their connections. */
  | { readonly _tag: "ForgetParkedReplies"; readonly ticketsUpTo: number }

/** Offsets may have been unused for long enough; `dueMs`: the deadline's time, Unix ms, whatever the clock says by now. */
export interface ExpireOffsets {
  readonly _tag: "ExpireOffsets"
  readonly dueMs: number
}

/** The commands of the classic protocol's members. */
export type ClassicCommand = JoinMember | SyncMember | Heartbeat | LeaveMembers | ClassicDeadline

/** The commands on committed offsets, whatever protocol the members have. */
export type OffsetsCommand =
  | CommitOffsets
  | AddPendingOffsets
  | CompletePending
  | FetchOffsets
  | ForgetStreams
  | DeleteOffsets
  | ExpireOffsets

export type Command = ClassicCommand | OffsetsCommand | DeleteGroup | Describe

type Deadline = ClassicDeadline | ExpireOffsets

export interface JoinedMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Uint8Array
}

export interface Joined {
  readonly _tag: "Joined"
  readonly generation: number
  readonly protocolType: string
  readonly protocolName: string
  readonly leader: string
  readonly memberId: string
  /** The leader must not compute an assignment: the one of its predecessor holds (KIP-814). */
  readonly skipAssignment: boolean
  /** The whole group's members for the leader, empty for the others. */
  readonly members: ReadonlyArray<JoinedMember>
}

export interface Synced {
  readonly _tag: "Synced"
  readonly protocolType: string
  readonly protocolName: string
  readonly assignment: Uint8Array
}

export interface HeartbeatAccepted {
  readonly _tag: "HeartbeatAccepted"
}

export interface MembersLeft {
  readonly _tag: "MembersLeft"
  /** In the order asked; `refused` null: gone. */
  readonly members: ReadonlyArray<{
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly refused: "UnknownMemberId" | "FencedInstanceId" | null
  }>
}

export interface OffsetsStored {
  readonly _tag: "OffsetsStored"
  /** In the order asked; `refused` null: durable. */
  readonly partitions: ReadonlyArray<TopicPartition & { readonly refused: "OffsetMetadataTooLarge" | null }>
}

export interface CommittedOffset extends TopicPartition {
  /** Empty if nothing was committed. */
  readonly stream: string
  /** -1: nothing was committed (no error). */
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
  /** Unix ms; -1: nothing was committed. */
  readonly committedAtMs: number
}

/** `isUnstable`: a transaction may be about to change it, so it is not told: -1. */
export type FetchedOffset = CommittedOffset & { readonly isUnstable?: true }

export interface OffsetsFetched {
  readonly _tag: "OffsetsFetched"
  /** In the order asked; for all, in the order of the first commits. */
  readonly offsets: ReadonlyArray<FetchedOffset>
}

export interface StreamsForgotten {
  readonly _tag: "StreamsForgotten"
}

export interface OffsetsRemoved {
  readonly _tag: "OffsetsRemoved"
  /** In the order asked; `refused` null: there is no offset of it any more. */
  readonly partitions: ReadonlyArray<TopicPartition & { readonly refused: "GroupSubscribedToTopic" | null }>
}

export interface GroupGone {
  readonly _tag: "GroupGone"
}

/** Kafka's names: what DescribeGroups and ListGroups show. Its "Dead" is a group that is not there. */
export type GroupStateName = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable"

export interface MemberDescription {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** The member's metadata of the chosen protocol; empty unless the group is Stable. */
  readonly metadata: Uint8Array
  /** Empty unless the group is Stable. */
  readonly assignment: Uint8Array
}

export interface GroupDescription {
  readonly _tag: "GroupDescription"
  readonly groupId: string
  readonly state: GroupStateName
  readonly generation: number
  /** Empty for simple consumers. */
  readonly protocolType: string
  /** Empty unless the group is Stable. */
  readonly protocolName: string
  readonly leader: string | null
  readonly members: ReadonlyArray<MemberDescription>
  readonly pendingMembers: number
  readonly committedOffsets: number
}

export interface Done {
  readonly _tag: "Done"
}

/** The reply to each command. Deadlines have no caller; they are answered by `Done`. */
export interface Replies extends Readonly<Record<Deadline["_tag"], Done>> {
  readonly JoinMember: Joined
  readonly SyncMember: Synced
  readonly Heartbeat: HeartbeatAccepted
  readonly LeaveMembers: MembersLeft
  readonly CommitOffsets: OffsetsStored
  readonly AddPendingOffsets: OffsetsStored
  readonly CompletePending: Done
  readonly FetchOffsets: OffsetsFetched
  readonly ForgetStreams: StreamsForgotten
  readonly DeleteOffsets: OffsetsRemoved
  readonly DeleteGroup: GroupGone
  readonly Describe: GroupDescription
}

export type Reply = Replies[keyof Replies]

/** Named after Kafka's error codes, which the shell's table maps them to. */
export type GroupRefusal =
  | "UnknownMemberId"
  | "IllegalGeneration"
  | "RebalanceInProgress"
  | "FencedInstanceId"
  | "InconsistentGroupProtocol"
  | "MemberIdRequired"
  | "InvalidSessionTimeout"
  | "GroupMaxSizeReached"
  | "NonEmptyGroup"
  | "GroupIdNotFound"
  | "InvalidGroupId"
  | "InvalidCommitOffsetSize"
  | "InvalidRequest"

export class GroupRefused extends Data.TaggedError("GroupRefused")<{
  readonly reason: GroupRefusal
  /** For `MemberIdRequired` the id to join again with; else the id in question, if there is one. */
  readonly memberId: string
  readonly message: string
}> {}

export const GroupKind = kind<{
  command: Command
  replies: Replies
  failure: GroupRefused
  event: GroupEvent
  notice: never
}>()("group")

/** The coordinator of a group. */
export const groupActor = (groupId: string): Address<typeof GroupKind> => address(GroupKind, groupId)

export type PendingLeaveReason = "left" | "session expired" | "metadata too large"

export type LeaveReason = PendingLeaveReason | "rebalance timeout" | "sync timeout" | "assignment too large"

/** `stream` and `offset` are for people who read the journal. */
export interface RemovedOffset extends TopicPartition {
  readonly stream: string
  readonly offset: number
}

/** The events of a group. Everything in them is absolute (generations, tickets), so that they fold the same from any past. */
export type GroupEvent =
  | {
      readonly _tag: "MemberIdAssigned"
      readonly memberId: string
      readonly clientId: string
      readonly clientHost: string
      readonly sessionTimeoutMs: number
    }
  | { readonly _tag: "PendingMemberLeft"; readonly memberId: string; readonly reason: PendingLeaveReason }
  | ({
      readonly _tag: "MemberJoined"
      readonly groupInstanceId: string | null
      readonly protocolType: string
    } & MemberDetails)
  | ({ readonly _tag: "MemberUpdated" } & MemberDetails)
  /** A static member came back under a new id (KIP-345). */
  | ({
      readonly _tag: "MemberReplaced"
      readonly groupInstanceId: string
      readonly fencedMemberId: string
    } & MemberDetails)
  | {
      readonly _tag: "MemberLeft"
      readonly memberId: string
      readonly groupInstanceId: string | null
      readonly reason: LeaveReason
      /** The client's own words, or what was too large. */
      readonly detail: string | null
    }
  /** `memberId`: who caused it. `initial`: the group was Empty, so members are given time to arrive together. */
  | {
      readonly _tag: "RebalanceStarted"
      readonly memberId: string
      readonly reason: string
      readonly initial: boolean
    }
  /** `protocolName` and `leader` are null when nobody is left. */
  | {
      readonly _tag: "RebalanceCompleted"
      readonly generation: number
      readonly protocolName: string | null
      readonly leader: string | null
      /** When nobody is left: since when, Unix ms. Events of before there was an expiry of offsets have none. */
      readonly emptySinceMs?: number
    }
  | { readonly _tag: "MemberSynced"; readonly memberId: string; readonly ticket: number }
  | {
      readonly _tag: "AssignmentStored"
      readonly generation: number
      readonly assignments: ReadonlyArray<MemberAssignment>
    }
  | { readonly _tag: "ParkedRepliesForgotten"; readonly ticketsUpTo: number }
  | {
      readonly _tag: "OffsetsCommitted"
      readonly memberId: string
      readonly generation: number
      readonly atMs: number
      readonly offsets: ReadonlyArray<OffsetToCommit>
    }
  | {
      readonly _tag: "PendingOffsetsAdded"
      readonly producerId: number
      readonly producerEpoch: number
      readonly memberId: string
      readonly generation: number
      readonly offsets: ReadonlyArray<OffsetToCommit>
    }
  /** `atMs`: since when those that were committed are. */
  | {
      readonly _tag: "PendingOffsetsCompleted"
      readonly producerId: number
      readonly outcome: TransactionOutcome
      readonly atMs: number
    }
  | { readonly _tag: "OffsetsForgotten"; readonly topicIds: ReadonlyArray<string> }
  | {
      readonly _tag: "OffsetsExpired"
      readonly retentionMs: number
      readonly reason: "no members" | "not subscribed"
      readonly offsets: ReadonlyArray<RemovedOffset>
    }
  /** Somebody asked for it. */
  | { readonly _tag: "OffsetsDeleted"; readonly offsets: ReadonlyArray<RemovedOffset> }
  | { readonly _tag: "GroupDeleted" }

/** The details of a member that a join tells. */
export interface MemberDetails {
  readonly memberId: string
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocols: ReadonlyArray<MemberProtocol>
  /** Under which the reply is parked; 0: answered at once. */
  readonly ticket: number
  /** The client's own words. */
  readonly reason: string | null
}

export interface GroupSettings {
  /** Kafka's `group.initial.rebalance.delay.ms`: how long an Empty group waits for more members, again for each that comes. */
  readonly initialRebalanceDelayMs: number
  readonly sessionTimeoutMsMin: number
  readonly sessionTimeoutMsMax: number
  /** A longer rebalance timeout is cut to this. */
  readonly rebalanceTimeoutMsMax: number
  /** Kafka's `group.new.member.join.timeout.ms`: how long a new member's parked join keeps it in the group. */
  readonly newMemberJoinTimeoutMs: number
  /** Members, and those that were given an id and have not joined yet. */
  readonly membersMax: number
  /** The most bytes of one member's protocols together, and of one member's assignment. */
  readonly memberMetadataBytesMax: number
  /**
   * The most bytes of the group with its members and offsets, as `groupWeight.ts` weighs them: it bounds what the other
   * bounds multiply to.
   */
  readonly bytesMax: number
  readonly memberProtocolsMax: number
  /** The greatest length of group ids, member ids, instance ids, client ids, hosts and protocol names, in UTF-16 units. */
  readonly nameLengthMax: number
  /** Kafka's `offset.metadata.max.bytes`, in UTF-16 units. */
  readonly offsetMetadataLengthMax: number
  /** Committed offsets of one group. Saving or hashing a thousand of them takes 0.7 ms. */
  readonly offsetsMax: number
  /** Kafka's `offsets.retention.minutes`. */
  readonly offsetsRetentionMs: number
}

export const defaultGroupSettings: GroupSettings = {
  initialRebalanceDelayMs: 500,
  sessionTimeoutMsMin: 6_000,
  sessionTimeoutMsMax: 300_000,
  rebalanceTimeoutMsMax: 3_600_000,
  newMemberJoinTimeoutMs: 300_000,
  membersMax: 1_000,
  memberMetadataBytesMax: 1_048_588,
  bytesMax: 16_777_216,
  memberProtocolsMax: 64,
  nameLengthMax: 512,
  offsetMetadataLengthMax: 4_096,
  offsetsMax: 20_000,
  offsetsRetentionMs: 604_800_000
}
