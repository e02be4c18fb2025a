import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TopicAliases } from "../../src/mqtt/TopicAliases.ts"

/** An account with room for so many bytes. */
const accountOf = (room: number) => ({
  bytes: 0,
  add(_holder: string, bytes: number) {
    this.bytes += bytes
  },
  hasRoomToRemember(_holder: string, bytes: number) {
    return this.bytes + bytes <= room
  }
})

/** The topic and the alias that a message to the client has. */
const send = (aliases: TopicAliases, topic: string): readonly [topic: string, alias: number | undefined] => {
  const found = aliases.use(topic)
  const sent = [found?.isKnown === true ? "" : topic, found?.alias] as const
  if (found !== undefined) found.isKnown = true
  return sent
}

describe("topic aliases for a client", () => {
  it("are for topics that come again: then with the topic, from then on in its place", () => {
    const aliases = new TopicAliases(2, accountOf(Infinity))
    const topics = ["a/one", "a/one", "b/two", "a/one", "b/two", "b/two"]
    expect(topics.map((topic) => send(aliases, topic))).toEqual([
      ["a/one", undefined],
      ["a/one", 1],
      ["b/two", undefined],
      ["", 1],
      ["b/two", 2],
      ["", 2]
    ])
  })

  it("stay with topics that are used when many come once", () => {
    const aliases = new TopicAliases(2, accountOf(Infinity))
    for (let i = 0; i < 3; i++) send(aliases, "often")
    for (let i = 0; i < 1000; i++) {
      expect(send(aliases, `once/${i}`)).toEqual([`once/${i}`, undefined])
      expect(send(aliases, "often")).toEqual(["", 1])
    }
  })

  it("stay where they are when more topics come in turns than there are aliases", () => {
    const aliases = new TopicAliases(2, accountOf(Infinity))
    const turn = () => ["one/topic", "two/topic", "three/topic"].map((topic) => send(aliases, topic)[1])
    expect(turn()).toEqual([undefined, undefined, undefined])
    for (let i = 0; i < 10; i++) expect(turn()).toEqual([1, 2, undefined])
  })

  it("go to other topics when theirs are used no more", () => {
    const aliases = new TopicAliases(1, accountOf(Infinity))
    for (let i = 0; i < 3; i++) send(aliases, "before")
    // Looked at, taken, told.
    expect([1, 2, 3, 4].map(() => send(aliases, "after"))).toEqual([
      ["after", undefined],
      ["after", undefined],
      ["after", 1],
      ["", 1]
    ])
    expect(send(aliases, "before")).toEqual(["before", undefined])
  })

  it("are no use for a topic that is no longer than the property", () => {
    const aliases = new TopicAliases(1, accountOf(Infinity))
    expect([1, 2, 3].map(() => send(aliases, "a/b"))).toEqual([1, 2, 3].map(() => ["a/b", undefined]))
    expect([1, 2].map(() => send(aliases, "a/bc")[1])).toEqual([undefined, 1])
  })

  it("are none where there is no memory, and are counted by what they take", () => {
    const account = accountOf(400)
    const aliases = new TopicAliases(10, account)
    expect([1, 2].map(() => send(aliases, "first")[1])).toEqual([undefined, 1])
    const { bytes } = account
    expect(bytes).toBeGreaterThan(100)
    for (let i = 0; i < 5; i++) send(aliases, "x".repeat(300))
    expect(send(aliases, "x".repeat(300))).toEqual(["x".repeat(300), undefined])
    expect(account.bytes).toBe(bytes)
  })

  it("lead a client to each message's topic, and are never above its maximum", () => {
    const topic = fc.integer({ min: 0, max: 12 }).map((n) => `topic/${n}`)
    fc.assert(
      fc.property(fc.array(topic, { maxLength: 200 }), fc.integer({ min: 1, max: 6 }), (topics, max) => {
        const aliases = new TopicAliases(max, accountOf(Infinity))
        const known = new Map<number, string>()
        for (const wanted of topics) {
          const [sent, alias] = send(aliases, wanted)
          if (alias !== undefined && sent !== "") known.set(alias, sent)
          expect(sent === "" ? known.get(alias!) : sent).toBe(wanted)
          expect(alias ?? 1).toBeLessThanOrEqual(max)
        }
      })
    )
  })
})
