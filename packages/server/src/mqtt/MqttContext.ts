import type { MessageRef, QoS } from "@logbrook/actors/session/SessionProtocol"
import type { ProtocolVersion } from "@logbrook/protocols/mqtt/Packet"
import type { Broker } from "../Broker.ts"
import type { BoundedLines } from "../net/BoundedLines.ts"
import type { Refusals } from "../net/Refusals.ts"
import type { OutgoingMessage } from "./Message.ts"
import type { MqttMetrics } from "./mqttMetrics.ts"
import type { MqttOptions } from "./MqttOptions.ts"
import type { RetainedStore } from "./RetainedStore.ts"
import type { SessionDirectory, SessionView } from "./SessionDirectory.ts"
import type { SessionLog } from "./SessionLog.ts"
import type { Match, ShareGroup } from "./Subscriptions.ts"
import type { TopTopics } from "./TopTopics.ts"
import type { TurnShare } from "../TurnShare.ts"

/** A connection as its session's publishers know it. */
export interface Receiver {
  readonly isOpen: boolean
  readonly outgoing: {
    readonly deliver: (
      message: OutgoingMessage,
      qos: QoS,
      retain: boolean,
      subscriptionIds: ReadonlyArray<number>,
      share?: string
    ) => void
    /** Messages of QoS 1 and 2 that are in no session's queue and that the client has not acknowledged. */
    readonly unacknowledged: number
    /** Messages of QoS 1 and 2 in the client's window and behind it. */
    readonly underWay: number
    readonly underWayBytes: number
    /** Whether so many more, of so many bytes together, may wait for the client. */
    readonly hasRoomFor: (messages: number, bytes: number) => boolean
    /** Whether a message of so many bytes had better wait elsewhere. */
    readonly hasBacklog: (bytes: number) => boolean
  }
  readonly version: ProtocolVersion
  /** The size of its window. */
  readonly inflightMax: number
  /** See `Client`. */
  readonly guarded: (run: () => void) => void
  readonly lost: (reason: string) => void
  /** It takes less than is sent. */
  readonly isSlow: boolean
  /** Written and not yet taken by the client's side. */
  readonly unsentBytes: number
  readonly flush: () => void
  readonly streams: {
    /** The message of a reference that is on its way into the session's queue, which need not be read again. */
    readonly put: (ref: MessageRef, message: OutgoingMessage) => void
    /** It does not come into the queue. */
    readonly take: (ref: MessageRef) => OutgoingMessage | undefined
  }
}

export type ReceivingSession = SessionView<Receiver>

/** A message that a member of a shared subscription was to have. */
export interface Undelivered {
  readonly message: OutgoingMessage
  /** The QoS of the delivery to that member; another one gets no higher one. */
  readonly qos: QoS
  /** The filter of the shared subscription. */
  readonly share: string
}

/** The members of shared subscriptions, and who of them gets what. */
export interface Sharing {
  /** The connected member with the least load; while there is none, and the message can wait, the durable one. */
  readonly choose: (group: ShareGroup<ReceivingSession>, qos: number) => Match<ReceivingSession> | undefined
  /** A member has gone, and its session with it: others get these, behind the turn, as what is published now does. */
  readonly redeliver: (from: string, messages: ReadonlyArray<Undelivered>) => void
  /** It is connected and has these subscriptions: what waits for members that are not is for it and the others that are. */
  readonly came: (session: ReceivingSession, filters: Iterable<string>) => void
}

/** The groups that read streams, by their filters `$share/GROUP/$stream/NAME[/FILTER]`. */
export interface StreamSharing {
  /** A member is connected, and its group is open. */
  readonly join: (filter: string, member: Receiver, subscriptionIds: ReadonlyArray<number>) => void
  readonly leave: (filter: string, member: Receiver) => void
  /** A member may have room for more. */
  readonly hasTaken: (filter: string) => void
  /** The group may have no member any more, connected or not. */
  readonly emptied: (filter: string) => void
}

/** The things that messages come from and go to, whoever publishes them. */
export interface MqttContext {
  readonly broker: Broker
  readonly options: MqttOptions
  readonly directory: SessionDirectory<Receiver>
  readonly retained: RetainedStore
  readonly sessionLog: SessionLog
  readonly metrics: MqttMetrics
  readonly refusals: Refusals
  /** The log lines about filters of SUBSCRIBE that were refused: MQTT 3.1.1 has no other way to say why. */
  readonly refusedFilters: Pick<BoundedLines, "write">
  readonly shared: Sharing
  readonly streamShares: StreamSharing
  /** So many messages of shared subscriptions went with this member, and nobody gets them. */
  readonly sharedLost: (clientId: string, count: number) => void
  /** The share of each turn of the event loop for filters of SUBSCRIBE and UNSUBSCRIBE. */
  readonly filters: TurnShare
  /** The share of each turn of the event loop for records of streams that clients read. */
  readonly streamLooks: TurnShare
  /** A listener ends, so all connections will: they get nothing more that others may have. */
  readonly isStopping: boolean
  /** The topics of messages that no stream stores and nobody receives. */
  readonly unmatched: TopTopics
}
