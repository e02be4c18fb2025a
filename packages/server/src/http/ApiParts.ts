import type { EffectiveSetting } from "../config/loadConfig.ts"
import type { TopTopics } from "../mqtt/TopTopics.ts"
import type { RetentionClock } from "../RetentionClock.ts"

/** What the API shows of the server beside the broker. */
export interface ApiParts {
  /** See `MqttContext`. */
  readonly unmatched: TopTopics
  /** How many MQTT sessions there are, connected or not. */
  readonly sessions: () => number
  readonly retentionClock: RetentionClock
  readonly config: RunningConfig
}

/** What the server runs with. */
export interface RunningConfig {
  /** There are no secrets among them. */
  readonly settings: ReadonlyArray<EffectiveSetting>
  /** Of the start, Unix ms: settings are read once. */
  readonly sinceMs: number
}
