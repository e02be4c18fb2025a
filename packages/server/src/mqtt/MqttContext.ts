import type { QoS } from "@logbrook/actors/session/SessionProtocol"
import type { Broker } from "../Broker.ts"
import type { BoundedLines } from "../net/BoundedLines.ts"
import type { Refusals } from "../net/Refusals.ts"
import type { OutgoingMessage } from "./Message.ts"
import type { MqttMetrics } from "./mqttMetrics.ts"
import type { MqttOptions } from "./MqttOptions.ts"
import type { RetainedStore } from "./RetainedStore.ts"
import type { SessionDirectory, SessionView } from "./SessionDirectory.ts"
import type { SessionLog } from "./SessionLog.ts"
import type { TopTopics } from "./TopTopics.ts"
import type { TurnShare } from "./TurnShare.ts"

/** A connection as its session's publishers know it. */
export interface Receiver {
  readonly isOpen: boolean
  readonly outgoing: {
    readonly deliver: (
      message: OutgoingMessage,
      qos: QoS,
      retain: boolean,
      subscriptionIds: ReadonlyArray<number>,
      isShared?: boolean
    ) => void
  }
}

export type ReceivingSession = SessionView<Receiver>

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
  /** So many messages went to a member of a shared subscription that has gone without taking them. */
  readonly sharedLost: (clientId: string, count: number) => void
  /** The share of each turn of the event loop for filters of SUBSCRIBE and UNSUBSCRIBE. */
  readonly filters: TurnShare
  /** The share of each turn of the event loop for records of streams that clients read. */
  readonly streamLooks: TurnShare
  /** The topics of messages that no stream stores and nobody receives. */
  readonly unmatched: TopTopics
}
