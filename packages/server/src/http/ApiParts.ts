import type { TopTopics } from "../mqtt/TopTopics.ts"
import type { RetentionClock } from "../RetentionClock.ts"

/** What the API shows of the server beside the broker. */
export interface ApiParts {
  /** See `MqttContext`. */
  readonly unmatched: TopTopics
  readonly retentionClock: RetentionClock
}
