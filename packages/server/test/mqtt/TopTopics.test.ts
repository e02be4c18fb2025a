import * as fc from "fast-check"
import { expect, it } from "vitest"
import { TopTopics } from "../../src/mqtt/TopTopics.ts"

it("counts exactly while it has room", () => {
  const topics = new TopTopics(3)
  for (const topic of ["a", "b", "c", "b", "a", "b"]) topics.add(topic)
  expect(topics.top(2)).toEqual([
    { topic: "b", count: 3 },
    { topic: "a", count: 2 }
  ])
  expect([topics.total, topics.countErrorMax]).toEqual([6, 0])
})

it("finds the frequent ones among topics that are all different, in bounded memory", () => {
  const topics = new TopTopics(64)
  for (let i = 0; i < 20_000; i++) {
    topics.add(`once/${i}`)
    if (i % 10 === 0) topics.add("often")
    if (i % 20 === 0) topics.add("less often")
  }
  const [first, second, ...rest] = topics.top(1000)
  expect([first!.topic, second!.topic]).toEqual(["often", "less often"])
  expect(rest.length).toBeLessThan(64)
})

it("is never wrong by more than it says", () => {
  const many = fc.array(
    fc.nat(40).map((n) => `t${Math.floor(n ** 2 / 40)}`),
    { maxLength: 2000, size: "max" }
  )
  fc.assert(
    fc.property(many, (names) => {
      const topics = new TopTopics(8)
      const right = new Map<string, number>()
      for (const topic of names) {
        topics.add(topic)
        right.set(topic, (right.get(topic) ?? 0) + 1)
      }
      const top = new Map(topics.top(Infinity).map(({ topic, count }) => [topic, count]))
      expect(top.size).toBeLessThanOrEqual(8)
      for (const [topic, count] of right) {
        const told = top.get(topic) ?? 0
        expect(told).toBeLessThanOrEqual(count)
        expect(count).toBeLessThanOrEqual(told + topics.countErrorMax)
      }
      expect(topics.countErrorMax).toBeLessThanOrEqual(topics.total / 4)
    }),
    { numRuns: 100, seed: 7 }
  )
})
