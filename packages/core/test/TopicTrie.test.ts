import * as v8 from "node:v8"
import * as vm from "node:vm"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { matches } from "../src/TopicFilter.ts"
import { TopicTrie } from "../src/TopicTrie.ts"

const level = fc.constantFrom("a", "b", "", "$SYS", "__proto__")
const topicArbitrary = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join("/"))
const filterArbitrary = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ["#"] : [])].join("/"))
  .filter((filter) => filter.length > 0)

interface Entry {
  readonly key: string
  readonly value: number
}

const keysMatching = (trie: TopicTrie<Entry>, topic: string): Array<string> => {
  const found: Array<string> = []
  trie.match(topic, ({ key, value }) => found.push(`${key}=${value}`))
  return found.sort()
}

v8.setFlagsFromString("--expose-gc")
const collectGarbage = vm.runInNewContext("gc") as () => void

const longLevel = (n: number): string => `a level of its own ${n}`

describe("TopicTrie", () => {
  it("finds what matches finds, after adds and removes", () => {
    const step = fc.record({ filter: filterArbitrary, key: fc.constantFrom("k", "l"), isRemove: fc.boolean() })
    const topics = fc.array(
      topicArbitrary.filter((topic) => topic.length > 0),
      { minLength: 1, maxLength: 10 }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), topics, (steps, someTopics) => {
        const trie = new TopicTrie<Entry>()
        const model = new Map<string, { filter: string; key: string; value: number }>()
        steps.forEach(({ filter, key, isRemove }, value) => {
          const id = `${key} ${filter}`
          if (isRemove) {
            expect(trie.remove(filter, key)).toBe(model.delete(id))
          } else {
            trie.add(filter, { key, value })
            model.set(id, { filter, key, value })
          }
          expect(trie.size).toBe(model.size)
        })
        for (const topic of someTopics) {
          const expected = [...model.values()].filter(({ filter }) => matches(filter, topic))
          expect(keysMatching(trie, topic)).toEqual(expected.map(({ key, value }) => `${key}=${value}`).sort())
        }
      }),
      { numRuns: 500 }
    )
  })

  it("refuses what is no filter, and a topic with wildcards matches nothing twice", () => {
    const trie = new TopicTrie<Entry>()
    expect(() => trie.add("a/#/b", { key: "k", value: 1 })).toThrow("last level")
    trie.add("+", { key: "k", value: 1 })
    expect(keysMatching(trie, "+")).toEqual(["k=1"])
  })

  it("keeps 100,000 filters and looks at few of them", () => {
    const trie = new TopicTrie<Entry>()
    for (let at = 0; at < 100_000; at++) trie.add(`site/${at % 100}/device/${at}/+`, { key: "k", value: at })
    trie.add("site/+/device/#", { key: "all", value: -1 })
    const rounds = 2000
    let visits = 0
    const before = process.cpuUsage()
    for (let at = 0; at < rounds; at++) trie.match(`site/${at % 100}/device/${at}/temperature`, () => visits++)
    const { user, system } = process.cpuUsage(before)
    const usPerMatch = (user + system) / rounds
    expect(visits).toBe(2 * rounds)
    // A scan of all filters takes milliseconds; the trie takes about a microsecond.
    expect(usPerMatch).toBeLessThan(200)
    for (let at = 0; at < 100_000; at++) trie.remove(`site/${at % 100}/device/${at}/+`, "k")
    expect(trie.size).toBe(1)
  })

  it("keeps no filter for the sake of a level", () => {
    const trie = new TopicTrie<Entry>()
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < 1000; n++) {
      const long = `${longLevel(n)}/${"x".repeat(10_000)}`
      trie.add(Buffer.from(long).toString(), { key: "k", value: 1 })
      trie.add(longLevel(n), { key: "k", value: 1 })
      trie.remove(long, "k")
    }
    collectGarbage()
    expect(trie.size).toBe(1000)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2_000_000)
  })

  it("keeps nothing of filters that were removed, however many there were", () => {
    const trie = new TopicTrie<Entry>()
    const filters = Array.from({ length: 30_000 }, (_, n) => `site/${n}/+/#`)
    collectGarbage()
    const before = process.memoryUsage().heapUsed
    for (const filter of filters) for (const key of ["k", "l"]) trie.add(filter, { key, value: 1 })
    collectGarbage()
    const full = process.memoryUsage().heapUsed - before
    for (const filter of filters) for (const key of ["k", "l"]) trie.remove(filter, key)
    collectGarbage()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(full / 10)
    // It is still there.
    expect(trie.size).toBe(0)
  })
})
