import type { Broker } from "../Broker.ts"

/** What the composition knows of its own life. */
export interface Readiness {
  isDraining: boolean
}

const failedShown = 10

/** Why nobody should be sent here now; empty: ready. Recovery is over before anything listens. */
export const unreadyReasons = ({ shard, disk }: Broker, { isDraining }: Readiness): ReadonlyArray<string> => {
  const reasons: Array<string> = []
  if (isDraining) reasons.push("draining")
  if (shard.isPoisoned) reasons.push("poisoned: a commit failed, nothing more is acknowledged")
  if (disk.isLow) reasons.push("disk low: writes are refused")
  if (shard.failedActors.length > 0) {
    reasons.push(`failed actors: ${shard.failedActors.slice(0, failedShown).join(", ")}`)
  }
  return reasons
}
