/** A server under load. */
export interface Server {
  readonly name: string
  readonly pid: number
  readonly mqttPort: number
  /** Ends it and removes what it has stored. */
  readonly stop: () => Promise<void>
}
