import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { defaultCodecLimits } from "../../src/mqtt/Packet.ts"
import { decodeTopicName, parseSharedFilter, TopicCache, validateTopicFilter } from "../../src/mqtt/TopicNames.ts"
import { errorOf } from "./bytes.ts"

describe("validateTopicFilter", () => {
  it("takes what the standard takes", () => {
    for (const filter of [
      "#",
      "+",
      "/",
      "a",
      "a/",
      "/a",
      "a//b",
      "a/#",
      "+/+",
      "/+",
      "+/#",
      "$SYS/#",
      "a b/é",
      "$shared"
    ]) {
      validateTopicFilter(filter)
      validateTopicFilter(`$share/g/${filter}`)
    }
  })

  it("refuses with 0x8F what it refuses", () => {
    const tooLong = "a".repeat(1_025)
    const tooDeep = "/".repeat(32)
    for (const filter of [
      "a#",
      "#a",
      "#/a",
      "+a",
      "a+",
      "a/#/b",
      "##",
      "++",
      "",
      "a\0",
      tooLong,
      tooDeep,
      "$share/g/a#"
    ]) {
      expect(errorOf(() => validateTopicFilter(filter)).reasonCode).toBe(0x8f)
    }
    validateTopicFilter("/".repeat(31))
    validateTopicFilter(`$share/g/${"/".repeat(31)}`)
  })
})

describe("parseSharedFilter", () => {
  it("splits the name from the filter", () => {
    expect(parseSharedFilter("$share/g/a/+/#")).toEqual({ shareName: "g", filter: "a/+/#" })
    expect(parseSharedFilter("$share/g//a")).toEqual({ shareName: "g", filter: "/a" })
    expect(parseSharedFilter("$sharing/g/a")).toBeUndefined()
    expect(parseSharedFilter("a/$share/g")).toBeUndefined()
  })

  it("refuses names that are empty or have wildcards", () => {
    for (const filter of ["$share", "$share/", "$share//a", "$share/g", "$share/+/a", "$share/a#/b"]) {
      expect(errorOf(() => parseSharedFilter(filter)).reasonCode).toBe(0x8f)
    }
  })
})

describe("TopicCache", () => {
  /** Few slots and few topics, so that there are hits and collisions. */
  const topics = fc.array(fc.oneof(fc.stringMatching(/^[ab/é]{1,4}$/), fc.stringMatching(/^[ab]{125,140}$/)), {
    minLength: 1,
    maxLength: 60
  })

  it("gives what decodeTopicName gives, whatever was in the slot before", () => {
    fc.assert(
      fc.property(topics, fc.constantFrom(1, 2, 64), (all, slots) => {
        const cache = new TopicCache(slots)
        for (const topic of all) {
          const bytes = Buffer.from(`xx${topic}yy`)
          const end = bytes.length - 2
          expect(cache.decode(bytes, 2, end)).toBe(topic)
          expect(decodeTopicName(bytes, 2, end, defaultCodecLimits)).toBe(topic)
          bytes.fill(0x23)
          expect(cache.decode(Buffer.from(topic), 0, end - 2)).toBe(topic)
        }
      })
    )
  })

  it("tells apart topics of the same hash", () => {
    // 31 * 0x61 + 0x62 = 31 * 0x62 + 0x43
    const cache = new TopicCache()
    expect(cache.decode(Buffer.from("ab"), 0, 2)).toBe("ab")
    expect(cache.decode(Buffer.from("bC"), 0, 2)).toBe("bC")
    expect(cache.decode(Buffer.from("ab"), 0, 2)).toBe("ab")
  })

  it("refuses what decodeTopicName refuses, each time", () => {
    const cache = new TopicCache()
    for (let round = 0; round < 2; round++) {
      expect(errorOf(() => cache.decode(Buffer.from("a/#"), 0, 3)).reasonCode).toBe(0x90)
      expect(errorOf(() => cache.decode(Buffer.of(0xff), 0, 1)).reasonCode).toBe(0x81)
      expect(errorOf(() => cache.decode(Buffer.from("a"), 0, 0)).reasonCode).toBe(0x90)
    }
  })

  it("wants a power of two", () => {
    expect(() => new TopicCache(3)).toThrow(RangeError)
    expect(() => new TopicCache(0)).toThrow(RangeError)
  })
})
