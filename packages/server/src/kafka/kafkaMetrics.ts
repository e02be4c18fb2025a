import { errorName } from "@logbrook/protocols/kafka/ErrorCodes"
import type { Metrics } from "../Metrics.ts"

const secondMs = 1000

export interface KafkaGauges {
  readonly connections: number
  /** The bytes of requests that are not answered. */
  readonly inFlightBytes: number
  readonly fetchSessions: { readonly size: number; readonly partitions: number }
}

/** All metrics of the Kafka listener. */
export const declareKafkaMetrics = (metrics: Metrics) => {
  metrics.declare(
    "logbrook_kafka_request_duration_seconds",
    "histogram",
    "Complete request to response, long polls included."
  )
  metrics.declare("logbrook_kafka_requests_total", "counter", "Requests by API and the first error of the response.")
  metrics.declare("logbrook_kafka_received_bytes_total", "counter", "Bytes read from Kafka clients.")
  metrics.declare("logbrook_kafka_sent_bytes_total", "counter", "Bytes of responses.")
  metrics.declare("logbrook_kafka_violations_total", "counter", "Requests that no client may send.")
  metrics.declare("logbrook_kafka_ignored_bytes_total", "counter", "Bytes behind the bodies of requests, by API.")
  metrics.declare(
    "logbrook_kafka_fenced_requests_total",
    "counter",
    "Requests that a coordinator refused since their producer is fenced, by API."
  )
  metrics.declare("logbrook_kafka_connections", "gauge", "Open connections of Kafka clients.")
  metrics.declare("logbrook_kafka_fetch_sessions", "gauge", "Fetch sessions of Kafka clients.")
  metrics.declare("logbrook_kafka_fetch_session_partitions", "gauge", "Partitions of fetch sessions.")
  metrics.declare("logbrook_kafka_fetch_sessions_evicted_total", "counter", "Fetch sessions that gave way to others.")
  metrics.declare("logbrook_kafka_in_flight_bytes", "gauge", "Bytes of requests that are not answered.")
  return {
    received: metrics.counter("logbrook_kafka_received_bytes_total"),
    sent: metrics.counter("logbrook_kafka_sent_bytes_total"),
    violations: metrics.counter("logbrook_kafka_violations_total"),
    fetchSessionsEvicted: metrics.counter("logbrook_kafka_fetch_sessions_evicted_total"),
    answered: (api: string, errorCode: number, durationMs: number): void => {
      metrics.observe("logbrook_kafka_request_duration_seconds", { api }, durationMs / secondMs)
      metrics.add("logbrook_kafka_requests_total", { api, error: errorName(errorCode) })
    },
    /** Bytes that a request has behind its body. */
    ignored: (api: string, bytes: number): void => metrics.add("logbrook_kafka_ignored_bytes_total", { api }, bytes),
    /** A zombie has asked. */
    fenced: (api: string): void => metrics.add("logbrook_kafka_fenced_requests_total", { api }),
    /** `collect`: what is there now. */
    onCollect: (collect: () => KafkaGauges): void =>
      metrics.onCollect(() => {
        const { connections, inFlightBytes, fetchSessions } = collect()
        metrics.set("logbrook_kafka_connections", {}, connections)
        metrics.set("logbrook_kafka_in_flight_bytes", {}, inFlightBytes)
        metrics.set("logbrook_kafka_fetch_sessions", {}, fetchSessions.size)
        metrics.set("logbrook_kafka_fetch_session_partitions", {}, fetchSessions.partitions)
      })
  }
}
