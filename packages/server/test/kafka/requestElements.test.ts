import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { describe, expect, it } from "vitest"
import { answersByTopic, bounded, failureOfName, namedTwice, partitionsOnce } from "../../src/kafka/requestElements.ts"

const keyOf = (name: string): string => name.toLowerCase()
const indexOf = ([index]: readonly [number, string]): number => index
const count = (length: number) => Array.from({ length }, (_, i) => i)

describe("elements of a request", () => {
  it("are a thousand at most, or as many as there can be, and more are a violation", () => {
    expect(bounded("DeleteGroups", "groups", count(1000))).toEqual([count(1000), undefined])
    expect(bounded("DeleteGroups", "groups", count(1001))).toEqual([count(1000), "DeleteGroups of 1001 groups"])
    expect(bounded("CreateTopics", "topics", count(1001), 10_000)).toEqual([count(1001), undefined])
    expect(bounded("CreateTopics", "topics", count(3), 2)).toEqual([[0, 1], "CreateTopics of 3 topics"])
  })

  it("that are named twice are known by their keys", () => {
    expect([...namedTwice(["a", "b", "A", "c", "a", "C"], keyOf)]).toEqual(["a", "c"])
    expect(namedTwice(["a", "__proto__", "b"], keyOf).size).toBe(0)
  })
})

describe("partitions of a request", () => {
  const topics = [
    [
      "a",
      [
        [0, "first"],
        [1, "only"],
        [0, "last"]
      ]
    ],
    ["b", [[0, "b"]]],
    ["a", [[1, "again"]]]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<readonly [number, string]>]>

  it("are asked once each, for what was named last, and answered by their topics", () => {
    const answers = answersByTopic(
      partitionsOnce(topics, indexOf),
      (topic, [index, what]) => `${topic}${index} ${what}`
    )
    expect(answers).toEqual([
      { name: "a", partitions: ["a0 last", "a1 again"] },
      { name: "b", partitions: ["b0 b"] }
    ])
  })

  it("of topics whose names could be confused with an index are others", () => {
    const confusing = [
      ["1 a", [[1, "x"]]],
      ["a", [[1, "y"]]],
      ["1 a", [[11, "z"]]]
    ] as typeof topics
    expect(partitionsOnce(confusing, indexOf)).toHaveLength(3)
  })
})

describe("a topic that is not there", () => {
  const unknown = { code: KafkaError.UNKNOWN_TOPIC_OR_PARTITION, message: null, memberId: "" }
  const denied = { ...unknown, code: KafkaError.TOPIC_AUTHORIZATION_FAILED }

  it.each(["", ".", "..", "a/b", "a b", "x".repeat(250), "ä"])("has no such name: %j", (name) => {
    expect(failureOfName(unknown, name).code).toBe(KafkaError.INVALID_TOPIC_EXCEPTION)
    expect(failureOfName(denied, name)).toBe(denied)
  })

  it.each(["a", "x".repeat(249), "__consumer_offsets"])("could have the name %s", (name) =>
    expect(failureOfName(unknown, name)).toBe(unknown)
  )
})
