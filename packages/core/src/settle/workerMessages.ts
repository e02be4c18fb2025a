import type { Settled, SettleJob } from "./SettleJob.ts"

/** The messages to the settling worker and from it. */

export type SettleOrder =
  | { readonly _tag: "Settle"; readonly job: SettleJob }
  /** Whether others wait for the end: then it does not rest. */
  | { readonly _tag: "Hurry"; readonly isHurried: boolean }

export type SettleWord =
  | SettleOutcome
  /** Without a job for a while: the parent may let go. */
  | { readonly _tag: "Idle" }

export type SettleOutcome =
  | ({ readonly _tag: "Settled" } & Settled)
  /** The source is not what a journal writes: `detail` names the place. */
  | { readonly _tag: "Refused"; readonly detail: string }
  /** It may go well another time. */
  | { readonly _tag: "Failed"; readonly detail: string }
