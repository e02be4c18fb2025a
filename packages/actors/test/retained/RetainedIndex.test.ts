import { matches } from "@logbrook/core/TopicFilter"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RetainedIndex } from "../../src/retained/RetainedIndex.ts"

const indexOf = (...topics: ReadonlyArray<string>): RetainedIndex => {
  const index = new RetainedIndex()
  for (const topic of topics) index.set(topic, 1, 1)
  return index
}

const found = (index: RetainedIndex, filter: string): Array<string> => {
  const topics: Array<string> = []
  index.match(filter, ({ topic }) => {
    topics.push(topic)
  })
  return topics.sort()
}

describe("matching", () => {
  const index = indexOf("a", "a/b", "a/b/c", "/a", "a/", "b", "$SYS", "$SYS/up", "__proto__/x")

  it.each<[string, ReadonlyArray<string>]>([
    ["a", ["a"]],
    ["a/#", ["a", "a/", "a/b", "a/b/c"]],
    ["+", ["a", "b"]],
    ["+/+", ["/a", "__proto__/x", "a/", "a/b"]],
    ["a/+/#", ["a/", "a/b", "a/b/c"]],
    ["#", ["/a", "__proto__/x", "a", "a/", "a/b", "a/b/c", "b"]],
    ["$SYS/#", ["$SYS", "$SYS/up"]],
    ["$SYS/+", ["$SYS/up"]],
    ["+/up", []],
    ["x", []],
    ["b/+", []],
    ["constructor", []]
  ])("%s", (filter, topics) => expect(found(index, filter)).toEqual(topics))

  it.each(["#", "+/#", "a/#", "a/+"])("%s ends when the visitor has seen enough", (filter) => {
    let visits = 0
    indexOf("a", "a/b", "a/c", "b", "b/c").match(filter, () => {
      visits++
      return false
    })
    expect(visits).toBe(1)
  })
})

it("tells which event set a topic's message", () => {
  const index = new RetainedIndex()
  index.set("a", 1, -3)
  index.set("a/b", 1, 7)
  index.set("a", 2, 9)
  const seqs = new Map<string, number>()
  index.match("#", ({ topic, seq }) => void seqs.set(topic, seq))
  expect([...seqs]).toEqual([
    ["a", 9],
    ["a/b", 7]
  ])
  expect([index.seqOf("a"), index.seqOf("a/b"), index.seqOf("a/c")]).toEqual([9, 7, undefined])
  index.delete("a")
  expect([index.seqOf("a"), index.seqOf("a/b")]).toEqual([undefined, 7])
})

describe("totals", () => {
  it("count topics and bytes, replaced ones once", () => {
    const index = indexOf("a/b")
    index.set("é", 10, 1)
    index.set("a/b", 0, 1)
    expect([index.size, index.bytes]).toEqual([2, 12 + 3])
    expect(index.delete("a")).toBe(false)
    expect(index.delete("x/y")).toBe(false)
    expect(index.delete("a/b")).toBe(true)
    expect(index.delete("a/b")).toBe(false)
    expect([index.size, index.bytes]).toEqual([1, 12])
    expect([index.has("é"), index.has("a"), index.has("a/b")]).toEqual([true, false, false])
  })

  it("tell whether there is room", () => {
    const index = new RetainedIndex({ retainedMessagesMax: 2, retainedBytesMax: 10 })
    expect([index.hasRoomFor("a", 9), index.hasRoomFor("a", 10)]).toEqual([true, false])
    index.set("a", 4, 1)
    expect([index.hasRoomFor("b", 4), index.hasRoomFor("b", 5), index.hasRoomFor("a", 9)]).toEqual([true, false, true])
    index.set("b", 1, 1)
    expect([index.hasRoomFor("c", 0), index.hasRoomFor("b", 4), index.hasRoomFor("b", 5)]).toEqual([false, true, false])
  })
})

it("matches as TopicFilter does, whatever was set and deleted before", () => {
  const level = fc.constantFrom("", "a", "b", "$x")
  const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"))
  const filter = fc
    .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 3 }), fc.constantFrom("#", "+", "a"))
    .map(([levels, last]) => [...levels, last].join("/"))
  fc.assert(
    fc.property(fc.array(fc.tuple(topic, fc.integer({ min: -2, max: 5 }))), filter, (changes, filter) => {
      const index = new RetainedIndex()
      const model = new Map<string, number>()
      for (const [topic, bytes] of changes) {
        if (bytes < 0) expect(index.delete(topic)).toBe(model.delete(topic))
        else {
          index.set(topic, bytes, 1)
          model.set(topic, bytes + topic.length)
        }
      }
      expect(found(index, filter)).toEqual([...model.keys()].filter((topic) => matches(filter, topic)).sort())
      expect(index.size).toBe(model.size)
      expect(index.bytes).toBe([...model.values()].reduce((sum, bytes) => sum + bytes, 0))
    }),
    { numRuns: 1000 }
  )
})
