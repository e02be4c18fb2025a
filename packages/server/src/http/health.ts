import { type Holder, holders } from "@logbrook/core/memory/MemoryAccount"
import type { Broker } from "../Broker.ts"

/** The composition's knowledge of its own life. */
export interface Readiness {
  isDraining: boolean
}

const failedShown = 10

/** Why nobody should be sent here now; empty: ready. Recovery is over before anything listens. */
export const unreadyReasons = ({ shards, disk }: Broker, { isDraining }: Readiness): ReadonlyArray<string> => {
  const reasons: Array<string> = []
  if (isDraining) reasons.push("draining")
  if (shards.isPoisoned) reasons.push("poisoned: a commit failed, nothing more is acknowledged")
  if (disk.isLow) reasons.push("disk low: writes are refused")
  if (shards.failedActors.length > 0) {
    reasons.push(`failed actors: ${shards.failedActors.slice(0, failedShown).join(", ")}`)
  }
  return reasons
}

/** From here on a holder's account is told: what clients bring more will be refused before long. */
const nearlyFull = 0.9

interface Account {
  readonly bytes: number
  readonly budgetBytes: number
}

/** The memory that clients make the server keep, by kind of holder. */
export const memoryAccounts = ({ shards }: Broker): Readonly<Record<Holder, Account>> =>
  Object.fromEntries(
    holders.map((holder) => [holder, { bytes: shards.memory.bytes(holder), budgetBytes: shards.memory.budget(holder) }])
  ) as Record<Holder, Account>

/** `ok`, and a line for each account that is nearly full: the server lives, and refuses what has no room. */
export const livenessText = (broker: Broker): string => {
  const accounts = Object.entries(memoryAccounts(broker)) as ReadonlyArray<[Holder, Account]>
  const full = accounts.filter(([, { bytes, budgetBytes }]) => bytes >= nearlyFull * budgetBytes)
  return ["ok", ...full.map(([holder, { bytes, budgetBytes }]) => `memory: ${holder} ${bytes} of ${budgetBytes} bytes`)]
    .map((line) => `${line}\n`)
    .join("")
}
