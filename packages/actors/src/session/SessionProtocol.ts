import { type Address, address, kind } from "@logbrook/core/actor/Kind"
import type { RepeatIntents } from "@logbrook/core/actor/Outbox"
import * as Data from "effect/Data"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"

/** Given by the shell to each connection; unique over restarts too, since a stale one must never name a new connection. */
export type ConnectionId = string

export type QoS = 0 | 1 | 2

/** A will message as CONNECT brought it (MQTT 5, 3.1.3.2). */
export interface Will {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: QoS
  readonly retain: boolean
  /** Already limited by the shell. */
  readonly delayMs: number
  /** Message Expiry Interval, counted from the publication; null: none. */
  readonly expiryMs: number | null
  readonly userProperties: ReadonlyArray<readonly [name: string, value: string]>
  readonly contentType: string | null
  readonly responseTopic: string | null
  readonly correlationData: Uint8Array | null
  readonly payloadFormat: 0 | 1 | null
}

export interface Subscription {
  /** As the client wrote it, with `$share/…` and `$stream/…`. */
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionId: number | null
  /** Only subscriptions of `$stream/NAME[/FILTER]` have it. */
  readonly stream?: StreamReading
}

/** Where a subscription reads a stream. */
export interface StreamReading {
  /** The stream itself: another one of the same name is not the same. Null: there is none yet. */
  readonly topicId: string | null
  /** The next offset of each partition; -1: it is not read. */
  readonly positions: ReadonlyArray<number>
  /** The offset before which reading ends, of each partition; null: it has no end. */
  readonly ends: ReadonlyArray<number> | null
  /** Reading ends, in each partition, before the first record at or behind this time, in Unix ms. */
  readonly untilMs: number | null
  /** Deliveries have the topic `$stream/NAME/TOPIC`. */
  readonly isFullTopic: boolean
}

/** A reference to a record that is stored once, in an internal log or a stream's partition. */
export interface MessageRef {
  readonly logId: number
  readonly offset: number
  /** The QoS of the delivery: the lower of the publish's and the subscription's. */
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIds: ReadonlyArray<number>
  /** Payload and topic, for the queue's limit. */
  readonly bytes: number
  /** The filter of the shared subscription that it is by, with `$share/…`: no other member has it. */
  readonly share?: string
  /** In journals of older versions, which do not tell the filter: by a shared subscription. */
  readonly isShared?: true
  /** By a subscription of the stream in whose partition the record lies. */
  readonly stream?: StreamDelivery
}

/** A reader of a stream says so of a record that it delivers. */
export interface StreamDelivery {
  /** As in `StreamReading`. */
  readonly isFullTopic?: true
  /** The records before it, in its partition, that retention took before they were read. */
  readonly gap?: number
  /** The last of what was there when the reader began. */
  readonly isCaughtUp?: true
}

/** A message of a shared subscription that another member is to have, as the outbox of the session that had it holds it. */
export interface ReleasedMessage extends MessageRef {
  /** Rises in the list; given anew once the list was empty. */
  readonly releaseId: number
  readonly share: string
}

/**
 * - `queued`: not sent yet, `packetId` null.
 * - `sent`: waits for PUBACK, or for the PUBREC of QoS 2; redelivered with DUP after a reconnect [MQTT-4.4.0-1].
 * - `received`: PUBREC came; PUBREL is to be sent (again after a reconnect), PUBCOMP removes it.
 */
export type DeliveryPhase = "queued" | "sent" | "received"

export interface QueueEntry extends MessageRef {
  /** Rises by one per message in a session's life, never used twice in it. */
  readonly entryId: number
  readonly packetId: number | null
  readonly phase: DeliveryPhase
}

/**
 * The end of a connection: who ended it, and how, as the journal and the log tell it. Plain data. A takeover is an
 * event of its own, `SessionTakenOver`. Reason codes are those of MQTT 5, whatever the client's version; texts are
 * short.
 */
export type ConnectionEnd =
  /** DISCONNECT (MQTT 5, 3.14); `reason`: its Reason String. */
  | { readonly by: "client"; readonly reasonCode: number; readonly reason?: string }
  /** No DISCONNECT came. `FIN`, `WebSocket close`, or the system's error: `ECONNRESET`, `ETIMEDOUT`, `EPIPE`. */
  | { readonly by: "socket"; readonly error: string }
  /** Nothing came for 1.5 times this long [MQTT-3.1.2-22]. */
  | { readonly by: "keep alive"; readonly keepAliveMs: number }
  /** The client sent what the protocol or a limit forbids. */
  | { readonly by: "protocol"; readonly reasonCode: number; readonly reason: string }
  /** The client does not read what is sent to it. */
  | { readonly by: "slow consumer" }
  /** A packet was begun and not completed. */
  | { readonly by: "frame stall" }
  /** Another connection has the client id now. */
  | { readonly by: "takeover" }
  /** An operator closed it. */
  | { readonly by: "kick" }
  | { readonly by: "server stop" }
  /** The server could not serve it. */
  | { readonly by: "server"; readonly reason: string }
  /** The server died, or rebuilt the session's state: nobody saw the end. */
  | { readonly by: "restart" }

/** The fields of the CONNECT that opened the connection, as far as the session needs them. */
export interface ConnectionSettings {
  readonly connectionId: ConnectionId
  /** 0: the session ends with the connection. Already limited by the shell. Clean Session 0 of MQTT 3.1.1: the limit. */
  readonly sessionExpiryMs: number
  readonly will: Will | null
  readonly keepAliveMs: number
  /** 3: MQTT 3.1; 4: MQTT 3.1.1. */
  readonly protocolVersion: 3 | 4 | 5
  /** The prefix of topics below which the client's listener keeps it; there is none without. */
  readonly mountPoint?: string
}

/** Replied with `SessionOpened`. Takes over from a connection that is there (`CloseConnection` to it). */
export interface Connect extends ConnectionSettings {
  readonly _tag: "Connect"
  readonly cleanStart: boolean
}

/**
 * The connection is gone, whoever closed it. Replied with `Done`; ignored from a connection that is not the session's.
 * `publishWill` false only after DISCONNECT with reason 0x00 [MQTT-3.14.4-3].
 */
export interface Disconnect {
  readonly _tag: "Disconnect"
  readonly connectionId: ConnectionId
  readonly publishWill: boolean
  /**
   * The expiry that DISCONNECT asks for; null: as CONNECT said. Ignored if CONNECT said 0: a protocol error (MQTT 5,
   * 3.14.2.2.2).
   */
  readonly sessionExpiryMs: number | null
  readonly end: ConnectionEnd
}

/** Replied with `SubscriptionsMade`. The filters are valid and authorized; `qos` is what may be granted. */
export interface Subscribe {
  readonly _tag: "Subscribe"
  readonly connectionId: ConnectionId
  readonly subscriptions: ReadonlyArray<Subscription>
  /** Filters of streams whose reading begins anew. Others go on where the session has read to, whatever `stream` says. */
  readonly resets?: ReadonlyArray<string>
}

/** Replied with `SubscriptionsEnded`. */
export interface Unsubscribe {
  readonly _tag: "Unsubscribe"
  readonly connectionId: ConnectionId
  readonly filters: ReadonlyArray<string>
}

/** PUBLISH with QoS 2 from the client, before its message is stored. Replied with `Qos2Remembered`. */
export interface ReceiveQos2 {
  readonly _tag: "ReceiveQos2"
  readonly connectionId: ConnectionId
  readonly packetId: number
}

/** PUBREL from the client. Replied with `Qos2Freed`. */
export interface ReleaseQos2 {
  readonly _tag: "ReleaseQos2"
  readonly connectionId: ConnectionId
  readonly packetId: number
}

/**
 * Messages for a durable session, in order. Replied with `Enqueued`; never refused, because the publisher cannot help it, unless
 * `isWhole` asks for that.
 * Several calls or one with several messages: the same outcome, one event per call. A message by a shared subscription that
 * the session does not have any more is released (`SharedReleased`), also by a session that is not there.
 */
export interface Enqueue {
  readonly _tag: "Enqueue"
  readonly messages: ReadonlyArray<MessageRef>
  /**
   * All of them or, refused with `QuotaExceeded`, none: who has them keeps them. An empty queue takes them whatever their bytes are, or
   * what is larger than it may hold would wait for ever.
   */
  readonly isWhole?: true
  /** Their offsets count from here; from 0 by default. It may be the offset of a record in the same list. */
  readonly baseOffset?: number
}

/**
 * A subscription of a stream has read on: these records wait for the client from now on, or were written to it as QoS 0, if
 * there are none. Replied with `StreamRead`; all or nothing.
 */
export interface ReadStream {
  readonly _tag: "ReadStream"
  readonly connectionId: ConnectionId
  readonly filter: string
  readonly topicId: string
  /** In the order of delivery. */
  readonly messages: ReadonlyArray<MessageRef>
  /** The next offset of each partition in which it has changed. */
  readonly positions: ReadonlyArray<readonly [partition: number, offset: number]>
}

/**
 * Messages that `QueueFull` told of, of one session's life, counted together: an event for each would be one for every
 * message that is sent to a client that is off. Replied with `Done`; ignored once that life is over.
 */
export interface CountDropped extends Dropped {
  readonly _tag: "CountDropped"
  /** The start of the session, as the notices said. */
  readonly startedAtMs: number
}

/** Messages that a queue had no room for. */
export interface Dropped {
  readonly count: number
  /** The limits that were exceeded. */
  readonly limits: ReadonlyArray<QueueLimit>
  readonly logId: number
  /** Ascending, first and last offset of each; `count` of the messages in there were for this session. */
  readonly ranges: ReadonlyArray<readonly [first: number, last: number]>
}

/** The setting that a full queue has reached. */
export type QueueLimit = "offlineQueueMessagesMax" | "offlineQueueBytesMax" | "memoryBytesMax"

/**
 * Entries were written to the connection. Replied with `Done`; all or none. QoS 0 has `packetId` null and leaves the
 * queue. QoS 1 and 2 need an id from 1 to 65,535 that no other entry has.
 */
export interface MarkSent {
  readonly _tag: "MarkSent"
  readonly connectionId: ConnectionId
  readonly entries: ReadonlyArray<{ readonly entryId: number; readonly packetId: number | null }>
}

/** PUBACK for QoS 1, PUBCOMP or a failing PUBREC for QoS 2: the entries leave the queue. Replied with `PacketsKnown`. */
export interface Acked {
  readonly _tag: "Acked"
  readonly connectionId: ConnectionId
  readonly packetIds: ReadonlyArray<number>
}

/** PUBREC: the entries wait for PUBCOMP now. Replied with `PacketsKnown`; a repeated PUBREC is known. */
export interface Received {
  readonly _tag: "Received"
  readonly connectionId: ConnectionId
  readonly packetIds: ReadonlyArray<number>
}

/** An operator closes the connection, with the will; `endSession` forgets the session as well. Replied with `Done`. */
export interface Kick {
  readonly _tag: "Kick"
  readonly endSession: boolean
}

/** Deadline: the session expires, unless it does so at another time than `atMs` by now. */
export interface Expire {
  readonly _tag: "Expire"
  readonly atMs: number
}

/** Deadline: the will delay is over, unless it is so at another time than `atMs` by now. */
export interface WillDue {
  readonly _tag: "WillDue"
  readonly atMs: number
}

/**
 * Decided in the turn that stores the will's message, so that both are one commit. Replied with `Done`; ignored for a will
 * that is not pending. `refused`: why the message is not stored everywhere; null: it is. A final refusal drops the will.
 */
export interface ConfirmWill {
  readonly _tag: "ConfirmWill"
  readonly willId: number
  readonly refused: { readonly reason: string; readonly isFinal: boolean } | null
}

/**
 * Behind `ConfirmWill` in the same list, if the streams of the will's topic have its message: should something else have refused it, so
 * that the will stays pending, they are left out from now on. Replied with `Done`; ignored for a will that is not pending.
 */
export interface NoteWillStored {
  readonly _tag: "NoteWillStored"
  readonly willId: number
}

/**
 * Another member of the shared subscription is connected: what this session has queued by it and not sent is for the others,
 * unless it has a connection by now. Replied with `Done`.
 */
export interface ReleaseShared {
  readonly _tag: "ReleaseShared"
  readonly share: string
}

/**
 * Decided in the turn that queues them for another member, or gives a stream's records back to their group. Replied with `Done`; ignored
 * for messages that are not released any more. `to`: the client id of that member, or the group's filter, `$share/…/$stream/…`; null:
 * nobody gets them.
 */
export interface ConfirmHandedOn {
  readonly _tag: "ConfirmHandedOn"
  readonly releaseIds: ReadonlyArray<number>
  readonly to: string | null
}

/** Deadline after a replay: whatever connection the session had is gone. */
export interface LoseConnection {
  readonly _tag: "LoseConnection"
  readonly connectionId: ConnectionId
}

export type SessionCommand =
  | Connect
  | Disconnect
  | Subscribe
  | Unsubscribe
  | ReceiveQos2
  | ReleaseQos2
  | Enqueue
  | ReadStream
  | CountDropped
  | MarkSent
  | Acked
  | Received
  | Kick
  | Expire
  | WillDue
  | RepeatIntents
  | ConfirmWill
  | NoteWillStored
  | ReleaseShared
  | ConfirmHandedOn
  | LoseConnection

export interface SessionOpened {
  readonly _tag: "SessionOpened"
  readonly sessionPresent: boolean
  readonly subscriptions: ReadonlyArray<Subscription>
  /** QoS 2 packet ids of the client that wait for PUBREL. */
  readonly unreleasedQos2: ReadonlyArray<number>
  /** In order; those with a packet id keep it. */
  readonly queue: ReadonlyArray<QueueEntry>
}

export interface SubscriptionsMade {
  readonly _tag: "SubscriptionsMade"
  /** The result of each subscription that was asked for, in order. `grantedQos` null: refused with `QuotaExceeded` (0x97). */
  readonly results: ReadonlyArray<{
    readonly filter: string
    readonly grantedQos: QoS | null
    /** No such filter was there before, for Retain Handling 1. */
    readonly isNew: boolean
    /** Where a subscription of a stream reads from now on. */
    readonly stream?: StreamReading
  }>
}

export interface SubscriptionsEnded {
  readonly _tag: "SubscriptionsEnded"
  /** The result of each filter, in order; `existed` false is 0x11. */
  readonly results: ReadonlyArray<{ readonly filter: string; readonly existed: boolean }>
}

export interface Qos2Remembered {
  readonly _tag: "Qos2Remembered"
  /** The message was stored before: PUBREC again, but store and deliver nothing [MQTT-4.3.3-10]. */
  readonly duplicate: boolean
}

export interface Qos2Freed {
  readonly _tag: "Qos2Freed"
  /** False: PUBCOMP with 0x92. */
  readonly known: boolean
}

export interface Enqueued {
  readonly _tag: "Enqueued"
  /** The entry of each message, or null if it was dropped or released, or if the session is not there or not durable. */
  readonly entryIds: ReadonlyArray<number | null>
}

export interface StreamRead {
  readonly _tag: "StreamRead"
  /** False: the queue has no room for the records now, or the subscription has ended. */
  readonly isTaken: boolean
}

export interface PacketsKnown {
  readonly _tag: "PacketsKnown"
  /** Whether each packet id was known, in order; false is 0x92. */
  readonly known: ReadonlyArray<boolean>
}

export interface Done {
  readonly _tag: "Done"
}

/** The reply to each command; `Done` is all that deadlines are answered. */
export interface SessionReplies {
  readonly Connect: SessionOpened
  readonly Disconnect: Done
  readonly Subscribe: SubscriptionsMade
  readonly Unsubscribe: SubscriptionsEnded
  readonly ReceiveQos2: Qos2Remembered
  readonly ReleaseQos2: Qos2Freed
  readonly Enqueue: Enqueued
  readonly ReadStream: StreamRead
  readonly CountDropped: Done
  readonly MarkSent: Done
  readonly Acked: PacketsKnown
  readonly Received: PacketsKnown
  readonly Kick: Done
  readonly Expire: Done
  readonly WillDue: Done
  readonly RepeatIntents: Done
  readonly ConfirmWill: Done
  readonly NoteWillStored: Done
  readonly ReleaseShared: Done
  readonly ConfirmHandedOn: Done
  readonly LoseConnection: Done
}

export type SessionReply = SessionReplies[keyof SessionReplies]

/** The names of MQTT 5's reason codes. */
export type SessionRefusal =
  /** The command's connection is not the session's, or no longer. */
  | "SessionTakenOver"
  /** `MarkSent`: another entry has the packet id. */
  | "PacketIdentifierInUse"
  /** `Connect`: this client's wills can not be published for a while, and no more of them are kept. */
  | "TooManyWills"
  /** `Connect`: there is no memory for one session more, or for its will. `Enqueue`: not for all of them in the queue. */
  | "QuotaExceeded"
  /** `MarkSent`: no such entry is waiting to be sent, or the packet id does not fit its QoS. */
  | "PacketIdentifierNotFound"

export class SessionRefused extends Data.TaggedError("SessionRefused")<{ readonly reason: SessionRefusal }> {}

/** A session begins that had no past. Durable traffic is journaled only if `sessionExpiryMs` is not 0. */
export interface SessionStarted extends ConnectionSettings {
  readonly _tag: "SessionStarted"
  readonly atMs: number
}

/** A known session has a connection again; a will that waited is forgotten [MQTT-3.1.3-9]. */
export interface SessionResumed extends ConnectionSettings {
  readonly _tag: "SessionResumed"
  readonly atMs: number
}

/** `SessionResumed`, or `SessionEnded` and `SessionStarted`, follow in the same commit. */
export interface SessionTakenOver {
  readonly _tag: "SessionTakenOver"
  readonly by: ConnectionId
  readonly atMs: number
}

export interface SessionDisconnected {
  readonly _tag: "SessionDisconnected"
  readonly connectionId: ConnectionId
  /** Not in journals of older versions. */
  readonly end?: ConnectionEnd
  readonly cause: "Closed" | "Kicked" | "Lost"
  readonly sessionExpiryMs: number
  readonly keepsWill: boolean
  readonly atMs: number
}

/**
 * The session is forgotten with all that it had. `ConnectionClosed`: it was to live no longer than its connection, which
 * older versions called `Expired` too.
 */
export interface SessionEnded {
  readonly _tag: "SessionEnded"
  readonly cause: "ConnectionClosed" | "Expired" | "CleanStart" | "Kicked"
}

/** The will's time has come: it is the session's to publish, whatever becomes of the session. */
export interface WillTriggered {
  readonly _tag: "WillTriggered"
  readonly willId: number
  readonly topic: string
}

/** In the commit of its message. Without `willId`, in journals of older versions: it was about to be published. */
export interface WillPublished {
  readonly _tag: "WillPublished"
  readonly willId?: number
  readonly topic: string
}

/** Its streams have the message, in this commit, and something else has not: it is published there no more. */
export interface WillStored {
  readonly _tag: "WillStored"
  readonly willId: number
}

/** It can never be published. */
export interface WillDropped {
  readonly _tag: "WillDropped"
  readonly willId: number
  readonly reason: string
}

export interface Subscribed {
  readonly _tag: "Subscribed"
  readonly subscriptions: ReadonlyArray<Subscription>
}

export interface Unsubscribed {
  readonly _tag: "Unsubscribed"
  readonly filters: ReadonlyArray<string>
}

export interface Qos2Received {
  readonly _tag: "Qos2Received"
  readonly packetId: number
}

export interface Qos2Released {
  readonly _tag: "Qos2Released"
  readonly packetId: number
}

export interface MessagesQueued {
  readonly _tag: "MessagesQueued"
  readonly firstEntryId: number
  readonly messages: ReadonlyArray<MessageRef>
}

/** The records before these offsets were delivered, or are in the queue. Another stream than before: all its positions are told. */
export interface StreamPositionMoved {
  readonly _tag: "StreamPositionMoved"
  readonly filter: string
  readonly topicId: string
  readonly positions: ReadStream["positions"]
}

/**
 * Counts what was dropped in a second or more together. Journals of older versions have an event per message, with
 * nothing but `count`.
 */
export interface MessagesDropped extends Partial<Dropped> {
  readonly _tag: "MessagesDropped"
  readonly count: number
  readonly reason?: "QueueFull"
}

export interface MessagesSent {
  readonly _tag: "MessagesSent"
  readonly entries: MarkSent["entries"]
}

export interface MessagesAcked {
  readonly _tag: "MessagesAcked"
  readonly packetIds: ReadonlyArray<number>
}

export interface MessagesReceived {
  readonly _tag: "MessagesReceived"
  readonly packetIds: ReadonlyArray<number>
}

/**
 * Messages of shared subscriptions that other members are to have: those of `entryIds` leave the queue, `messages` were on their
 * way into it. They stay in the session's state, whatever becomes of the session, until they are handed on.
 */
export interface SharedReleased {
  readonly _tag: "SharedReleased"
  readonly firstReleaseId: number
  readonly entryIds: ReadonlyArray<number>
  readonly messages: ReadonlyArray<MessageRef>
}

/** In the commit that queues them for the session of `to`, or has them wait in that group of a stream. Null: nobody gets them. */
export interface SharedHandedOn {
  readonly _tag: "SharedHandedOn"
  readonly releaseIds: ReadonlyArray<number>
  readonly to: string | null
}

/** Those that change the lifecycle; they pass through the machine. */
export type LifecycleEvent =
  | SessionStarted
  | SessionResumed
  | SessionTakenOver
  | SessionDisconnected
  | SessionEnded
  | WillTriggered
  | WillPublished

/** Those of a session's traffic; plain folds. */
export type TrafficEvent =
  | Subscribed
  | Unsubscribed
  | Qos2Received
  | Qos2Released
  | MessagesQueued
  | StreamPositionMoved
  | MessagesDropped
  | MessagesSent
  | MessagesAcked
  | MessagesReceived

/** Those of the outboxes; a session that is absent takes them as well. */
export type OutboxEvent = WillStored | WillDropped | SharedReleased | SharedHandedOn

export type SessionEvent = LifecycleEvent | TrafficEvent | OutboxEvent

/** To be closed with this reason code; a connection that is gone already is none to close. */
export interface CloseConnection {
  readonly _tag: "CloseConnection"
  readonly clientId: string
  readonly connectionId: ConnectionId
  /** `UnspecifiedError`: the session was replayed, and the connection cannot be trusted to know its state. */
  readonly reason: "SessionTakenOver" | "AdministrativeAction" | "UnspecifiedError"
}

/**
 * To be published as an ordinary message of this client, together with `ConfirmWill`. Given again from time to time until
 * that is decided.
 */
export interface PublishWill {
  readonly _tag: "PublishWill"
  readonly clientId: string
  readonly willId: number
  readonly will: Will
  /** Its streams have the message already. */
  readonly isStored?: true
}

/** New entries at the end of the queue, durable now: with `SessionOpened.queue` the shell always knows the whole queue. */
export interface Deliver {
  readonly _tag: "Deliver"
  readonly clientId: string
  readonly connectionId: ConnectionId
  readonly entries: ReadonlyArray<QueueEntry>
}

/** Messages that the queue had no room for: this session misses them. To be counted together and told by `CountDropped`. */
export interface QueueFull {
  readonly _tag: "QueueFull"
  readonly clientId: string
  readonly startedAtMs: number
  readonly messages: ReadonlyArray<DroppedMessage>
}

export interface DroppedMessage {
  readonly logId: number
  readonly offset: number
  readonly limit: QueueLimit
}

/**
 * A session has ended with messages in its queue that came by shared subscriptions, and that no other member may have: of QoS 2,
 * sent already [MQTT-4.8.2-5].
 */
export interface SharedLost {
  readonly _tag: "SharedLost"
  readonly clientId: string
  readonly count: number
}

/**
 * Each to be given to another member of its shared subscription, together with `ConfirmHandedOn`. Given again from time to time
 * until that is decided.
 */
export interface HandOn {
  readonly _tag: "HandOn"
  readonly clientId: string
  readonly messages: ReadonlyArray<ReleasedMessage>
}

export type SessionNotice = HandOn | SharedLost | CloseConnection | PublishWill | Deliver | QueueFull

export const SessionKind = kind<{
  command: SessionCommand
  replies: SessionReplies
  failure: SessionRefused
  event: SessionEvent
  notice: SessionNotice
}>()("session")

export const sessionActor = (clientId: string): Address<typeof SessionKind> => address(SessionKind, clientId)

export type SessionSettings = Pick<
  Limits,
  "subscriptionsPerSessionMax" | "offlineQueueMessagesMax" | "offlineQueueBytesMax"
>

export const defaultSessionSettings: SessionSettings = defaultLimits
