import type { Counter, Metrics } from "../Metrics.ts"

export const dropReasons = [
  "disk_low",
  "expired",
  "no_match",
  "no_memory",
  "not_authorized",
  "outside_mount_point",
  "packet_too_large",
  "payload_format",
  "queue_full",
  "retained_full",
  "shared_member_gone",
  "slow_consumer",
  "too_large",
  "without_key",
  "unavailable"
] as const

/** Why a message went no further. */
export type DropReason = (typeof dropReasons)[number]

export interface MqttMetrics {
  /** PUBLISH from clients, by QoS. */
  readonly received: ReadonlyArray<Counter>
  /** PUBLISH to clients, by QoS. */
  readonly sent: ReadonlyArray<Counter>
  /** Packets of any type. */
  readonly receivedPackets: Counter
  readonly sentPackets: Counter
  readonly receivedBytes: Counter
  readonly sentBytes: Counter
  /** Messages that another member of a shared subscription gets, since one has gone. */
  readonly sharedRedelivered: Counter
  /** Groups that read streams, without members, whose position gave way to those of others. */
  readonly streamSharesGivenUp: Counter
  readonly dropped: (reason: DropReason, count?: number) => void
  /** How many were dropped for a reason. */
  readonly droppedFor: (reason: DropReason) => number
  readonly refusedConnections: Counter
}

export interface MqttGauges {
  readonly connections: number
  readonly sessions: number
  readonly subscriptions: number
  readonly retained: number
  readonly retainedBytes: number
  /** Groups that read streams. */
  readonly streamShares: { readonly withMembers: number; readonly idle: number }
}

const declareAll = (metrics: Metrics): void => {
  metrics.declare("logbrook_mqtt_messages_received_total", "counter", "PUBLISH packets from clients.")
  metrics.declare("logbrook_mqtt_messages_sent_total", "counter", "PUBLISH packets to clients.")
  metrics.declare("logbrook_mqtt_messages_dropped_total", "counter", "Messages that were not stored or not delivered.")
  metrics.declare("logbrook_mqtt_packets_received_total", "counter", "Packets of any type from MQTT clients.")
  metrics.declare("logbrook_mqtt_packets_sent_total", "counter", "Packets of any type to MQTT clients.")
  metrics.declare(
    "logbrook_mqtt_shared_redelivered_total",
    "counter",
    "Messages that went to another member of a shared subscription, since one had gone."
  )
  metrics.declare(
    "logbrook_mqtt_stream_shares",
    "gauge",
    "Groups that read a stream, $share/GROUP/$stream/...: with members, or idle: without, and their position is kept."
  )
  metrics.declare(
    "logbrook_mqtt_stream_shares_given_up_total",
    "counter",
    "Idle groups whose position was forgotten, since there were more than limits.streamSharesIdleMax."
  )
  metrics.declare("logbrook_mqtt_received_bytes_total", "counter", "Bytes from MQTT clients.")
  metrics.declare("logbrook_mqtt_sent_bytes_total", "counter", "Bytes to MQTT clients.")
  metrics.declare("logbrook_mqtt_refused_total", "counter", "Connections closed for what their clients sent.")
  metrics.declare("logbrook_mqtt_connections", "gauge", "MQTT connections, those in their handshake included.")
  metrics.declare("logbrook_mqtt_sessions", "gauge", "MQTT sessions, connected or not.")
  metrics.declare("logbrook_mqtt_subscriptions", "gauge", "Subscriptions of all sessions.")
  metrics.declare("logbrook_mqtt_retained_messages", "gauge", "Retained messages.")
  metrics.declare("logbrook_mqtt_retained_bytes", "gauge", "Bytes of all retained messages and their topics.")
}

/** Declares the MQTT metrics and gives their handles; `gauges` is asked when they are collected. */
export const makeMqttMetrics = (metrics: Metrics, gauges: () => MqttGauges): MqttMetrics => {
  declareAll(metrics)
  const byQos = (name: string): ReadonlyArray<Counter> => [0, 1, 2].map((qos) => metrics.counter(name, { qos }))
  const dropped = new Map(
    dropReasons.map((reason) => [reason, metrics.counter("logbrook_mqtt_messages_dropped_total", { reason })])
  )
  metrics.onCollect(() => {
    const { connections, sessions, subscriptions, retained, retainedBytes, streamShares } = gauges()
    metrics.set("logbrook_mqtt_connections", {}, connections)
    metrics.set("logbrook_mqtt_sessions", {}, sessions)
    metrics.set("logbrook_mqtt_subscriptions", {}, subscriptions)
    metrics.set("logbrook_mqtt_retained_messages", {}, retained)
    metrics.set("logbrook_mqtt_retained_bytes", {}, retainedBytes)
    metrics.set("logbrook_mqtt_stream_shares", { state: "with_members" }, streamShares.withMembers)
    metrics.set("logbrook_mqtt_stream_shares", { state: "idle" }, streamShares.idle)
  })
  return {
    received: byQos("logbrook_mqtt_messages_received_total"),
    sent: byQos("logbrook_mqtt_messages_sent_total"),
    receivedPackets: metrics.counter("logbrook_mqtt_packets_received_total"),
    sentPackets: metrics.counter("logbrook_mqtt_packets_sent_total"),
    receivedBytes: metrics.counter("logbrook_mqtt_received_bytes_total"),
    sentBytes: metrics.counter("logbrook_mqtt_sent_bytes_total"),
    sharedRedelivered: metrics.counter("logbrook_mqtt_shared_redelivered_total"),
    streamSharesGivenUp: metrics.counter("logbrook_mqtt_stream_shares_given_up_total"),
    dropped: (reason, count = 1) => dropped.get(reason)!.add(count),
    droppedFor: (reason) => dropped.get(reason)!.value,
    refusedConnections: metrics.counter("logbrook_mqtt_refused_total")
  }
}
