import type { Seq } from "@logbrook/core/journal/Journal"

/** A point in the past: just after an event, or the end of a millisecond. */
export type At =
  | { readonly seq: Seq }
  /** `isAssumed`: the text named no zone, UTC was taken. */
  | { readonly timeMs: number; readonly isAssumed?: true }

export const pointHelp =
  "a seq is a whole number, a time is 2026-01-31T12:00:00Z, 2026-01-31 12:00:00 or 12:00 in UTC, or -5m before now"

const dayMs = 24 * 60 * 60 * 1000
const datePattern = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?) ?(Z|UTC|[+-]\d\d:?\d\d)?)?$/
const clockPattern = /^(\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)(Z| ?UTC)?$/
const agoPattern = /^-(?=\d)(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$/

/**
 * A seq, or a time as the tools print it: ISO 8601 with or without its zone, a date alone, the last time that a clock showed
 * `23:13`, or `-1h30m` before now. A time without a zone is UTC. Undefined for everything else, also for what `Date`
 * would guess at: nobody can see what it took.
 */
export const parsePoint = (text: string, nowMs: number): At | undefined => {
  if (/^\d{1,15}$/.test(text)) return { seq: Number(text) }
  return agoOf(text, nowMs) ?? clockOf(text, nowMs) ?? dateOf(text)
}

const agoOf = (text: string, nowMs: number): At | undefined => {
  const found = agoPattern.exec(text)
  if (found === null) return undefined
  const [days, hours, minutes, seconds] = found.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number
  ]
  return { timeMs: nowMs - (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 }
}

/** Today, or yesterday if that is still to come. */
const clockOf = (text: string, nowMs: number): At | undefined => {
  const [, clock, zone] = clockPattern.exec(text) ?? []
  if (clock === undefined) return undefined
  const day = new Date(nowMs).toISOString().slice(0, 10)
  const timeMs = Date.parse(`${day}T${clock.replace(",", ".")}Z`)
  if (!Number.isFinite(timeMs)) return undefined
  return { timeMs: timeMs > nowMs ? timeMs - dayMs : timeMs, ...(zone === undefined && { isAssumed: true }) }
}

const dateOf = (text: string): At | undefined => {
  const [, day, clock = "00:00", zone] = datePattern.exec(text) ?? []
  if (day === undefined || !isDay(day)) return undefined
  const iso = zone === undefined || zone === "UTC" ? "Z" : zone.replace(/^([+-]\d\d):?(\d\d)$/, "$1:$2")
  const timeMs = Date.parse(`${day}T${clock.replace(",", ".")}${iso}`)
  if (!Number.isFinite(timeMs)) return undefined
  return { timeMs, ...(zone === undefined && { isAssumed: true }) }
}

/** February 30 is March 2 to `Date`. */
const isDay = (day: string): boolean => new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day) === true
