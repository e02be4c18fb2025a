import type { CatalogEvent } from "@logbrook/actors/catalog/CatalogProtocol"
import type { PublicationsRefused } from "@logbrook/actors/client/Client"
import type { GroupEvent } from "@logbrook/actors/group/GroupProtocol"
import type { RetainedEvent } from "@logbrook/actors/retained/Retained"
import type { SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import type { StreamShareEvent } from "@logbrook/actors/streamShare/StreamShareProtocol"
import type { TransactionEvent } from "@logbrook/actors/transaction/TransactionProtocol"
import type { LogEvent } from "@logbrook/core/actor/LogEvents"
import type { ShardEvent } from "@logbrook/core/shard/ShardActor"

/** Every tag of the events, or this does not compile. */
const tagsOf = <Event extends { readonly _tag: string }>(tags: Readonly<Record<Event["_tag"], true>>) =>
  Object.keys(tags)

/** The events that actors of each kind journal. */
export const eventTypes: Readonly<Record<string, ReadonlyArray<string>>> = {
  catalog: tagsOf<CatalogEvent>({
    StreamCreated: true,
    StreamAltered: true,
    StreamDeleted: true,
    DeletionConfirmed: true,
    ProducerIdsAllocated: true
  }),
  partition: tagsOf<LogEvent>({
    RecordsAppended: true,
    LogStartMoved: true,
    LogDeleted: true,
    ProducersForgotten: true,
    AbortedForgotten: true
  }),
  group: tagsOf<GroupEvent>({
    MemberIdAssigned: true,
    PendingMemberLeft: true,
    MemberJoined: true,
    MemberUpdated: true,
    MemberReplaced: true,
    MemberLeft: true,
    RebalanceStarted: true,
    RebalanceCompleted: true,
    MemberSynced: true,
    AssignmentStored: true,
    ParkedRepliesForgotten: true,
    OffsetsCommitted: true,
    PendingOffsetsAdded: true,
    PendingOffsetsCompleted: true,
    OffsetsForgotten: true,
    OffsetsExpired: true,
    OffsetsDeleted: true,
    GroupDeleted: true
  }),
  transaction: tagsOf<TransactionEvent>({
    ProducerInitialized: true,
    PartitionsAdded: true,
    GroupAdded: true,
    ProducerFenced: true,
    CommitPrepared: true,
    AbortPrepared: true,
    TransactionCompleted: true,
    TransactionalIdExpired: true
  }),
  session: tagsOf<SessionEvent>({
    SessionStarted: true,
    SessionResumed: true,
    SessionTakenOver: true,
    SessionDisconnected: true,
    SessionEnded: true,
    WillTriggered: true,
    WillPublished: true,
    WillStored: true,
    WillDropped: true,
    Subscribed: true,
    Unsubscribed: true,
    Qos2Received: true,
    Qos2Released: true,
    MessagesQueued: true,
    MessagesDropped: true,
    StreamPositionMoved: true,
    MessagesSent: true,
    MessagesAcked: true,
    MessagesReceived: true,
    SharedReleased: true,
    SharedHandedOn: true
  }),
  streamShare: tagsOf<StreamShareEvent>({
    ShareStarted: true,
    SharePositionMoved: true,
    ShareHandedOut: true,
    ShareTakenBack: true,
    ShareIdle: true,
    ShareResumed: true,
    ShareExpired: true
  }),
  retained: tagsOf<RetainedEvent>({ RetainedSet: true, RetainedCleared: true }),
  client: tagsOf<PublicationsRefused>({ PublicationsRefused: true }),
  shard: tagsOf<ShardEvent>({ Started: true, Stopped: true, ClockRanAhead: true, ClockTrusted: true })
}
