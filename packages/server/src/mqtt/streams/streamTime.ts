const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

const unitMs: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", secondMs],
  ["m", minuteMs],
  ["h", hourMs],
  ["d", dayMs],
  ["w", 7 * dayMs]
])

const unixMicroseconds = /^\d{1,16}$/
const ago = /^-(\d{1,9})(ms|s|m|h|d|w)$/
/** ISO 8601's extended format, as far as people write it: a date, or a date and a time, in UTC if no zone is named. */
const iso8601 = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/

const isoMs = (date: string, time: string, zone: string): number | undefined => {
  const atMs = Date.parse(`${date}T${time}${zone}`)
  // `Date.parse` takes February 30 for March 2.
  const midnightMs = Date.parse(`${date}T00:00:00Z`)
  const isDate = Number.isFinite(midnightMs) && new Date(midnightMs).toISOString().startsWith(date)
  return isDate && Number.isFinite(atMs) ? atMs : undefined
}

/**
 * The moment that a text names, in Unix ms: a Unix time in µs, ISO 8601, or a time ago such as `-24h` (ms, s, m, h, d, w).
 * A moment between two milliseconds is the later one: no record before it counts as at or behind it. Undefined: it is none of these.
 */
export const parseStreamTime = (text: string, nowMs: number): number | undefined => {
  if (unixMicroseconds.test(text)) return Math.ceil(Number(text) / 1000)
  const before = ago.exec(text)
  if (before !== null) return nowMs - Number(before[1]) * unitMs.get(before[2]!)!
  const [, date, time, zone] = iso8601.exec(text) ?? []
  return date === undefined ? undefined : isoMs(date, time ?? "00:00", zone ?? "Z")
}
