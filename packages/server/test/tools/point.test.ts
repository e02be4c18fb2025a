import { describe, expect, it } from "vitest"
import { parsePoint } from "../../src/tools/point.ts"

describe("a point in the past", () => {
  it("is a seq, or a time with its zone", () => {
    expect(parsePoint("0")).toEqual({ seq: 0 })
    expect(parsePoint("123456789012345")).toEqual({ seq: 123_456_789_012_345 })
    const timeMs = Date.UTC(2026, 0, 31, 12)
    for (const text of ["2026-01-31T12:00Z", "2026-01-31T12:00:00.000Z", "2026-01-31T13:30:00+01:30"]) {
      expect(parsePoint(text)).toEqual({ timeMs })
    }
    expect(parsePoint("2026-01-31T12:00:00.001234Z")).toEqual({ timeMs: timeMs + 1 })
    expect(parsePoint("2026-01-31")).toEqual({ timeMs: Date.UTC(2026, 0, 31) })
  })

  it("is not guessed", () => {
    const times = [
      "2026-01-31T12:00:00",
      "2026-01-31 12:00:00Z",
      "2026-02-30T00:00:00Z",
      "2026-13-01",
      "2026-01-31T25:00Z"
    ]
    const others = [
      "",
      "-1",
      "1e3",
      "1.5",
      "1234567890123456",
      "yesterday",
      "12:00",
      "Jan 31 2026",
      "2026-1-31",
      "2026-01"
    ]
    for (const text of [...times, ...others]) expect(parsePoint(text), text).toBe(undefined)
  })
})
