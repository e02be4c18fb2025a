import type { EffectiveSetting } from "../config/Config.ts"
import type { MqttBroker } from "../mqtt/MqttBroker.ts"
import type { RetentionClock } from "../RetentionClock.ts"

/** The parts of the server that the API shows beside the broker. */
export interface ApiParts {
  readonly mqtt: MqttBroker
  readonly retentionClock: RetentionClock
  readonly config: RunningConfig
}

/** The configuration that the server runs with. */
export interface RunningConfig {
  /** There are no secrets among them. */
  readonly settings: ReadonlyArray<EffectiveSetting>
  /** The time of the start, Unix ms: settings are read once. */
  readonly sinceMs: number
}
