/** A record as some Kafka client has read it. */
export interface KafkaRecord {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In the order of the record; undefined where the client does not tell. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]> | undefined
}

/** By partition and offset, as every reader may give its partitions in another order. */
export const inOrder = (records: ReadonlyArray<KafkaRecord>): ReadonlyArray<KafkaRecord> =>
  records.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
