import { defaultLimits } from "@logbrook/core/Limits"
import type { Plan } from "./Plan.ts"

export interface OffsetExpiry {
  readonly retentionMs: number
  /** How early or late an offset may expire: by every step of the machine's clock, and by what it takes to become durable. */
  readonly slackMs: number
}

const durableMs = 2500

export const offsetExpiryOf = ({ limits, mishaps }: Plan): OffsetExpiry => {
  const stepsMs = mishaps.reduce((sum, each) => sum + (each.kind === "clockStep" ? Math.abs(each.byMs) : 0), 0)
  return {
    retentionMs: limits.groupOffsetsRetentionMs ?? defaultLimits.groupOffsetsRetentionMs,
    slackMs: durableMs + stepsMs
  }
}
