import { describe, expect, it } from "vitest"
import { parsePoint, type At } from "../../src/tools/point.ts"

const nowMs = Date.UTC(2026, 10, 29, 23, 20)
const parsed = (text: string): At | undefined => parsePoint(text, nowMs)

describe("a point in the past", () => {
  it("is a seq, or a time with its zone", () => {
    expect(parsed("0")).toEqual({ seq: 0 })
    expect(parsed("123456789012345")).toEqual({ seq: 123_456_789_012_345 })
    const timeMs = Date.UTC(2026, 0, 31, 12)
    for (const text of [
      "2026-01-31T12:00Z",
      "2026-01-31T12:00:00.000Z",
      "2026-01-31T13:30:00+01:30",
      "2026-01-31 12:00:00Z",
      "2026-01-31 12:00:00 UTC",
      "2026-01-31 07:00:00-0500"
    ]) {
      expect(parsed(text), text).toEqual({ timeMs })
    }
    expect(parsed("2026-01-31T12:00:00.001234Z")).toEqual({ timeMs: timeMs + 1 })
  })

  it("is in UTC without a zone, as the tools print it, and says so", () => {
    const timeMs = Date.UTC(2026, 10, 29, 23, 13, 4)
    for (const text of [
      "2026-11-29 23:13:04",
      "2026-11-29T23:13:04",
      "2026-11-29 23:13:04.000",
      "2026-11-29 23:13:04,000"
    ])
      expect(parsed(text), text).toEqual({ timeMs, isAssumed: true })
    expect(parsed("2026-01-31")).toEqual({ timeMs: Date.UTC(2026, 0, 31), isAssumed: true })
    expect(parsed("23:13")).toEqual({ timeMs: Date.UTC(2026, 10, 29, 23, 13), isAssumed: true })
    expect(parsed("23:13:04.5Z")).toEqual({ timeMs: timeMs + 500 })
    expect(parsed("23:30")).toEqual({ timeMs: Date.UTC(2026, 10, 28, 23, 30), isAssumed: true })
  })

  it("is so long ago", () => {
    const minuteMs = 60_000
    expect(parsed("-5m")).toEqual({ timeMs: nowMs - 5 * minuteMs })
    expect(parsed("-1h30m")).toEqual({ timeMs: nowMs - 90 * minuteMs })
    expect(parsed("-2d")).toEqual({ timeMs: nowMs - 2 * 24 * 60 * minuteMs })
    expect(parsed("-90s")).toEqual({ timeMs: nowMs - 90_000 })
  })

  it("is not guessed", () => {
    const times = [
      "2026-02-30T00:00:00Z",
      "2026-02-30 00:00",
      "2026-13-01",
      "2026-01-31T25:00Z",
      "25:00",
      "12:60",
      "9:00"
    ]
    const others = ["", "-", "-1", "-5", "-m", "-5x", "1e3", "1.5", "1234567890123456", "yesterday", "Jan 31 2026"]
    const dates = ["2026-1-31", "2026-01", "2026-01-31T", "2026-01-31Z", "2026-01-31 12"]
    for (const text of [...times, ...others, ...dates]) expect(parsed(text), text).toBe(undefined)
  })
})
