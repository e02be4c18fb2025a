import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { beforeEach, describe, expect, it } from "vitest"
import type { Broker } from "../../src/Broker.ts"
import { deleteGroup, getGroup, groupNamed, groupNames, groupSummary } from "../../src/http/groups.ts"
import { refusalOf } from "../../src/http/refusals.ts"
import { now } from "../support/now.ts"
import { ShardHarness } from "../tools/ShardHarness.ts"

let harness: ShardHarness
let broker: Broker

/** Ten records in `orders-0`, none in `orders-1`. */
beforeEach(async () => {
  const journal = new MemoryJournal(systemClock)
  harness = new ShardHarness(journal)
  broker = harness.broker
  await harness.createStream("orders", [], 2)
  for (let i = 0; i < 10; i++) await harness.append(logIdOf(0), `record ${i}`)
})

const logIdOf = (partition: number): number => broker.directory.byName("orders")!.logIds[partition]!

const commit = (partition: number, offset: number): Promise<unknown> =>
  harness.commitOffset("g", "orders", partition, offset)

const moveStart = (offset: number): Promise<unknown> =>
  harness.ask(`partition/${logIdOf(0)}`, { _tag: "MoveLogStart", offset, reason: "DeleteRecords" })

const summary = () => groupSummary(broker, groupNamed(broker, "g")!)

const lines = (): ReadonlyArray<string> => broker.metrics.render().split("\n")

/** Of partitions. */
const series = (): ReadonlyArray<string> =>
  lines().filter((line) => /^(kafka|logbrook)_consumergroup.*partition=/.test(line))

const labels = (partition: number): string => `{consumergroup="g",topic="orders",partition="${partition}"}`

describe("a group's lag", () => {
  it("is what is there and not read; what was gone before is lost", async () => {
    await commit(0, 2)
    expect(now(getGroup(broker, "g")).offsets[0]).toMatchObject({
      logStartOffset: 0,
      highWatermark: 10,
      lag: 8,
      lost: 0
    })
    await moveStart(7)
    expect(now(getGroup(broker, "g"))).toMatchObject({
      lag: 3,
      lost: 5,
      unknownPartitions: 0,
      offsets: [{ offset: 2, logStartOffset: 7, highWatermark: 10, lag: 3, lost: 5 }]
    })
    await moveStart(10)
    expect(summary()).toMatchObject({ lag: 0, lost: 8 })
    expect(series()).toEqual([
      `kafka_consumergroup_current_offset${labels(0)} 2`,
      `kafka_consumergroup_lag${labels(0)} 0`,
      `logbrook_consumergroup_lost${labels(0)} 8`
    ])
    await commit(0, 10)
    expect(summary()).toMatchObject({ lag: 0, lost: 0 })
  })

  it("is unknown where the client has committed that it has none, and then the whole is", async () => {
    await commit(0, 2)
    await commit(1, 0)
    expect(summary()).toMatchObject({ lag: 8, knownLag: 8, unknownPartitions: 0 })
    for (const offset of [-2, -1]) {
      await commit(1, offset)
      expect(now(getGroup(broker, "g"))).toMatchObject({
        lag: null,
        knownLag: 8,
        lost: 0,
        unknownPartitions: 1,
        offsets: [
          { lag: 8, lost: 0 },
          { offset, highWatermark: 0, lag: null, lost: null }
        ]
      })
      expect(series()).toEqual([
        `kafka_consumergroup_current_offset${labels(0)} 2`,
        `kafka_consumergroup_lag${labels(0)} 8`,
        `logbrook_consumergroup_lost${labels(0)} 0`,
        `logbrook_consumergroup_lag_unknown${labels(1)} 1`
      ])
    }
  })

  it("is unknown where what was committed is behind the end, as of a topic that was deleted and made again", async () => {
    await commit(0, 10)
    expect(summary()).toMatchObject({ lag: 0, unknownPartitions: 0 })
    await commit(0, 11)
    expect(now(getGroup(broker, "g"))).toMatchObject({
      lag: null,
      knownLag: 0,
      lost: 0,
      unknownPartitions: 1,
      offsets: [{ offset: 11, highWatermark: 10, lag: null, lost: null }]
    })
    expect(series()).toEqual([
      `kafka_consumergroup_current_offset${labels(0)} 11`,
      `logbrook_consumergroup_lag_unknown${labels(0)} 1`
    ])
    await harness.append(logIdOf(0), "record 10")
    await commit(1, 0)
    expect(summary()).toMatchObject({ lag: 0, unknownPartitions: 0 })
  })
})

const named = (name: string) => lines().filter((line) => line.startsWith(name))

describe("the metrics under kafka_exporter's names", () => {
  it("sum a group's offsets and lag by topic, of the partitions of which they are known", async () => {
    await harness.createStream("other", [], 1)
    await commit(0, 2)
    await commit(1, 0)
    await harness.commitOffset("g", "other", 0, -1)
    expect(named("kafka_consumergroup_current_offset_sum{")).toEqual([
      `kafka_consumergroup_current_offset_sum{consumergroup="g",topic="orders"} 2`,
      `kafka_consumergroup_current_offset_sum{consumergroup="g",topic="other"} 0`
    ])
    expect(named("kafka_consumergroup_lag_sum{")).toEqual([
      `kafka_consumergroup_lag_sum{consumergroup="g",topic="orders"} 8`,
      `kafka_consumergroup_lag_sum{consumergroup="g",topic="other"} 0`
    ])
  })

  it("tell the members of each group, the partitions of each topic, and the one node", async () => {
    await commit(0, 2)
    await harness.join("h", "worker-1")
    expect(named("kafka_consumergroup_members{")).toEqual([
      `kafka_consumergroup_members{consumergroup="g"} 0`,
      `kafka_consumergroup_members{consumergroup="h"} 1`
    ])
    expect(named("kafka_topic_partitions{")).toEqual([`kafka_topic_partitions{topic="orders"} 2`])
    expect(named("kafka_brokers ")).toEqual(["kafka_brokers 1"])
  })
})

const codeNow = async (): Promise<string> => {
  const deleted = await Effect.runPromise(Effect.either(deleteGroup(broker, "g")))
  return Either.isRight(deleted) ? "deleted" : refusalOf(deleted.left).code
}

describe("deleting a group over HTTP", () => {
  it("takes it with its offsets, durably; not while it has members", async () => {
    await commit(0, 2)
    await commit(1, 0)
    expect(await Effect.runPromise(deleteGroup(broker, "g"))).toEqual({ offsets: 2 })
    expect(groupNames(broker)).toEqual([])
    expect(await codeNow()).toBe("UNKNOWN_GROUP")
    await harness.join("g", "m-1")
    expect(await codeNow()).toBe("GROUP_HAS_MEMBERS")
  })
})
