/** A server under load. */
export interface Server {
  readonly name: string
  readonly pid: number
  readonly mqttPort: number
  /** Until it has done what its answers do not wait for. */
  readonly rest?: () => Promise<void>
  /** Ends it and removes what it has stored. */
  readonly stop: () => Promise<void>
}
