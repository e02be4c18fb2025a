import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch, type BatchFields } from "@logbrook/core/RecordBatch"
import { describe, expect, it } from "vitest"
import { CliError } from "../../src/cli/CliError.ts"
import {
  assignRanges,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription
} from "../../src/cli/clients/consumerProtocol.ts"
import { CommittedRecords } from "../../src/cli/clients/fetchedRecords.ts"
import { assignedPartitions } from "../../src/tools/consumerProtocol.ts"

describe("the consumer protocol", () => {
  const places = [
    { topic: "b", partition: 3 },
    { topic: "ä", partition: 0 },
    { topic: "b", partition: 1 }
  ]

  it("is read as it was written, by the journal's tools too", () => {
    expect(decodeSubscription(encodeSubscription(["orders", "ä"]))).toEqual(["orders", "ä"])
    expect(decodeAssignment(encodeAssignment(places))).toEqual([places[0], places[2], places[1]])
    expect(assignedPartitions(encodeAssignment(places))).toEqual(["b-3", "b-1", "ä-0"])
    expect(decodeAssignment(new Uint8Array(0))).toEqual([])
  })

  it("gives every partition to one subscriber, in ranges as Kafka's assignor does", () => {
    const members = [
      { memberId: "m2", topics: ["x", "y"] },
      { memberId: "m1", topics: ["x"] },
      { memberId: "m3", topics: ["z"] }
    ]
    const counts = new Map([
      ["x", 5],
      ["y", 1],
      ["z", 0]
    ])
    const given = assignRanges(members, counts)
    const of = (memberId: string) => given.get(memberId)!.map(({ topic, partition }) => `${topic}-${partition}`)
    expect(of("m1")).toEqual(["x-0", "x-1", "x-2"])
    expect(of("m2")).toEqual(["x-3", "x-4", "y-0"])
    expect(of("m3")).toEqual([])
  })
})

const batch = (baseOffset: number, values: ReadonlyArray<string>, fields: Partial<BatchFields> = {}): Uint8Array => {
  const builder = new RecordsBuilder(10_000)
  for (const value of values) builder.append(null, Buffer.from(value), noHeaders, 5)
  const rest = { partitionLeaderEpoch: 0, baseTimestampMs: 5, maxTimestampMs: 5, count: values.length }
  return buildBatch({ baseOffset, ...rest, ...fields }, builder.bytes)
}

const marker = (baseOffset: number, producerId: number, type: 0 | 1): Uint8Array => {
  const builder = new RecordsBuilder(100)
  builder.append(Uint8Array.of(0, 0, 0, type), new Uint8Array(6), noHeaders, 5)
  const fields = { isTransactional: true, isControl: true, producerId, producerEpoch: 0, count: 1 }
  const times = { baseTimestampMs: 5, maxTimestampMs: 5 }
  return buildBatch({ baseOffset, partitionLeaderEpoch: 0, ...fields, ...times }, builder.bytes)
}

const transactional = (producerId: number): Partial<BatchFields> => ({
  isTransactional: true,
  producerId,
  producerEpoch: 0,
  baseSequence: 0
})

describe("what was committed of a partition", () => {
  const place = { topic: "t", partition: 0 }

  it("leaves out aborted transactions up to their markers, and the markers", () => {
    const log = Buffer.concat([
      batch(0, ["plain"]),
      batch(1, ["aborted 7"], transactional(7)),
      batch(2, ["committed 8"], transactional(8)),
      batch(3, ["aborted 7 again"], transactional(7)),
      marker(4, 7, 0),
      marker(5, 8, 1),
      batch(6, ["committed 7"], transactional(7)),
      marker(7, 7, 1)
    ])
    const reader = new CommittedRecords(place, 0, [{ producerId: 7, firstOffset: 1 }])
    const values = reader.read(log).map(({ offset, value }) => [offset, Buffer.from(value!).toString()])
    expect(values).toEqual([
      [0, "plain"],
      [2, "committed 8"],
      [6, "committed 7"]
    ])
    expect(reader.position).toBe(8)
  })

  it("begins within a batch, and ends before one that is cut off", () => {
    const log = Buffer.concat([batch(10, ["a", "b", "c"]), batch(13, ["d"]).subarray(0, 50)])
    const reader = new CommittedRecords(place, 11, [])
    expect(reader.read(log).map(({ offset }) => offset)).toEqual([11, 12])
    expect(reader.position).toBe(13)
  })

  it("is refused where it is damaged", () => {
    const damaged = batch(0, ["a", "b"])
    damaged.fill(0xff, 61)
    expect(() => new CommittedRecords(place, 0, []).read(damaged)).toThrow(CliError)
  })
})
