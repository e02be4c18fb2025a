import { describe, expect, it } from "vitest"
import { InvalidStreamName, isStreamName, validateStreamName } from "../src/StreamName.ts"

const reasonOf = (name: string): string | undefined => {
  try {
    validateStreamName(name)
    return undefined
  } catch (error) {
    if (error instanceof InvalidStreamName) return error.reason
    throw error
  }
}

describe("StreamName", () => {
  it.each(["a", "A.b_c-9", "...", "_a", "a__b", "_proto", "x".repeat(249)])("%s is a name", (name) => {
    expect(reasonOf(name)).toBeUndefined()
    expect(isStreamName(name)).toBe(true)
  })

  it.each([
    ["", "Empty"],
    ["x".repeat(250), "TooLong"],
    [".", "Dots"],
    ["..", "Dots"],
    ["__consumer_offsets", "Internal"],
    ["__proto__", "Internal"],
    ["a/b", "InvalidCharacter"],
    ["../a", "InvalidCharacter"],
    ["a\0", "InvalidCharacter"],
    ["ä", "InvalidCharacter"],
    ["a\n", "InvalidCharacter"]
  ])("%j is refused as %s", (name, reason) => {
    expect(reasonOf(name)).toBe(reason)
    expect(isStreamName(name)).toBe(false)
  })
})
