import { describe, expect, it } from "vitest"
import { InvalidTopicFilter, matches, parseTopicFilter, validateBoundFilter } from "../src/TopicFilter.ts"

const reasonOf = (check: () => unknown): string | undefined => {
  try {
    check()
    return undefined
  } catch (error) {
    if (error instanceof InvalidTopicFilter) return error.reason
    throw error
  }
}

describe("parseTopicFilter", () => {
  it.each(["#", "+", "/", "a", "a/#", "+/+", "/+", "a/+/b", "$SYS/#", "a//b", "x".repeat(1024)])(
    "takes %s",
    (filter) => {
      expect(parseTopicFilter(filter).join("/")).toBe(filter)
    }
  )

  it.each([
    ["", "Empty"],
    ["a#", "MisplacedMultiLevelWildcard"],
    ["#/a", "MisplacedMultiLevelWildcard"],
    ["a/##", "MisplacedMultiLevelWildcard"],
    ["+a", "MisplacedSingleLevelWildcard"],
    ["a/b+/c", "MisplacedSingleLevelWildcard"],
    ["a\0b", "InvalidCharacter"],
    ["a\ud800", "InvalidCharacter"],
    ["x".repeat(1025), "TooLong"],
    ["ä".repeat(513), "TooLong"],
    ["/".repeat(32), "TooDeep"]
  ])("refuses %j as %s", (filter, reason) => {
    expect(reasonOf(() => parseTopicFilter(filter))).toBe(reason)
  })
})

describe("validateBoundFilter", () => {
  it("takes $SYS explicitly and refuses what is reserved", () => {
    expect(reasonOf(() => validateBoundFilter("$SYS/#"))).toBeUndefined()
    expect(reasonOf(() => validateBoundFilter("$streams/#"))).toBeUndefined()
    expect(reasonOf(() => validateBoundFilter("$stream/a"))).toBe("Reserved")
    expect(reasonOf(() => validateBoundFilter("$share/g/a"))).toBe("Reserved")
    expect(reasonOf(() => validateBoundFilter("$queue/#"))).toBe("Reserved")
  })
})

describe("matches", () => {
  it.each([
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/#", "sport", true],
    ["sport/#", "sports", false],
    ["sport/tennis/+", "sport/tennis/player1", true],
    ["sport/tennis/+", "sport/tennis/player1/ranking", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["+/#", "a", true],
    ["a/b", "a/b", true],
    ["a/b", "a/c", false],
    ["a/b", "a", false],
    ["a", "a/b", false],
    ["#", "$SYS/x", false],
    ["+/x", "$SYS/x", false],
    ["+/monitor/Clients", "$SYS/monitor/Clients", false],
    ["$SYS/#", "$SYS/x", true],
    ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
    ["a/+", "a/$b", true],
    ["#", "a/$b", true]
  ])("%s on %s: %s", (filter, topic, expected) => {
    expect(matches(filter, topic)).toBe(expected)
  })
})
