/** A record of a stream, or a message of MQTT, as a command shows it. */
export interface ShownRecord {
  /** The topic of MQTT, else the stream. */
  readonly topic: string
  /** This and the offset are undefined of messages that no stream delivers. */
  readonly partition: number | undefined
  readonly offset: number | undefined
  /** Unix ms; -1: none. */
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: ReadonlyArray<readonly [name: string, value: Uint8Array | null]>
  /** Its protocol tells this beside, for JSON. */
  readonly more: Readonly<Record<string, unknown>>
}
