/** How a transaction ended (KIP-98). */
export type TransactionOutcome = "commit" | "abort"

/** The end of a producer's transaction in a partition, which has a place among its records. */
export interface Marker {
  readonly producerId: number
  readonly producerEpoch: number
  /** The epoch of the transaction coordinator that wrote it. */
  readonly coordinatorEpoch: number
  readonly outcome: TransactionOutcome
}
