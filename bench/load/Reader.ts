/** How a client gets all that is published: by a stream's Kafka topic, or by an MQTT subscription at QoS 1. */
export type Reading =
  | { readonly protocol: "kafka"; readonly port: number; readonly topic: string; readonly partitions: number }
  | { readonly protocol: "mqtt"; readonly port: number; readonly filter: string }

/** One client beside a load. */
export interface Reader {
  /** Messages that have come. */
  readonly received: number
  readonly close: () => void
}

export interface ReaderEvents {
  readonly onReceived: () => void
  readonly onFailed: (error: Error) => void
}
