import type { StreamShareEvent } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { expect, it } from "vitest"
import { ShareDirectory } from "../../../src/mqtt/streams/ShareDirectory.ts"

const started: StreamShareEvent = {
  _tag: "ShareStarted",
  reading: { topicId: "t", positions: [], ends: null, untilMs: null, isFullTopic: false }
}
const resumed: StreamShareEvent = { _tag: "ShareResumed" }
const expired: StreamShareEvent = { _tag: "ShareExpired" }
const idleAt = (sinceMs: number): StreamShareEvent => ({ _tag: "ShareIdle", sinceMs })

const countsOf = ({ withMembers, idle }: ShareDirectory) => ({ withMembers, idle })

it("counts the groups with and without members, those of before the start as well", () => {
  const directory = new ShareDirectory([
    { filter: "a", idleSinceMs: null },
    { filter: "b", idleSinceMs: 7 }
  ])
  expect(countsOf(directory)).toEqual({ withMembers: 1, idle: 1 })
  for (const event of [started, started]) directory.fold("c", event)
  directory.fold("c", { _tag: "ShareTakenBack", records: [] })
  expect(countsOf(directory)).toEqual({ withMembers: 2, idle: 1 })
  directory.fold("a", idleAt(8))
  directory.fold("b", resumed)
  expect(countsOf(directory)).toEqual({ withMembers: 2, idle: 1 })
  expect(directory.fold("a", expired)).toBe(false)
  expect(countsOf(directory)).toEqual({ withMembers: 2, idle: 0 })
})

it("takes those that have no member for longest, as many as there are too many, each once", () => {
  const directory = new ShareDirectory([
    { filter: "b", idleSinceMs: 9 },
    { filter: "a", idleSinceMs: 8 }
  ])
  expect(directory.takeOver(2)).toEqual([])
  directory.fold("c", idleAt(10))
  expect(directory.takeOver(2)).toEqual([{ filter: "a", sinceMs: 8 }])
  expect(directory.takeOver(2)).toEqual([])
  expect(directory.takeOver(0)).toEqual([
    { filter: "b", sinceMs: 9 },
    { filter: "c", sinceMs: 10 }
  ])
  expect(directory.fold("a", expired)).toBe(true)
  expect(countsOf(directory)).toEqual({ withMembers: 0, idle: 2 })
})

it("does not hold a group for taken any more to which a member has come first", () => {
  const directory = new ShareDirectory([{ filter: "a", idleSinceMs: 8 }])
  expect(directory.takeOver(0)).toHaveLength(1)
  directory.fold("a", resumed)
  directory.fold("a", idleAt(11))
  expect(directory.takeOver(1)).toEqual([])
  expect(directory.takeOver(0)).toEqual([{ filter: "a", sinceMs: 11 }])
})
