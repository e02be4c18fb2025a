import type { Seq } from "@logbrook/core/journal/Journal"

/** A point in the past: just after an event, or the end of a millisecond. */
export type At = { readonly seq: Seq } | { readonly timeMs: number }

export const pointHelp = "a seq is a whole number, a time ISO 8601 such as 2026-01-31T12:00:00Z"

const isoPattern = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/

/**
 * A seq, or a time as ISO 8601 with its zone; a date alone begins in UTC. Undefined for everything else, also for what
 * `Date` would guess at: nobody can see what it took.
 */
export const parsePoint = (text: string): At | undefined => {
  if (/^\d{1,15}$/.test(text)) return { seq: Number(text) }
  const day = isoPattern.exec(text)?.[1]
  if (day === undefined) return undefined
  const timeMs = Date.parse(text)
  return Number.isFinite(timeMs) && isDay(day) ? { timeMs } : undefined
}

/** February 30 is March 2 to `Date`. */
const isDay = (day: string): boolean => new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day) === true
