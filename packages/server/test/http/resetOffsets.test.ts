import { systemClock, type Clock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { beforeEach, describe, expect, it } from "vitest"
import type { Broker } from "../../src/Broker.ts"
import type { ResetOffsets } from "../../src/http/Api.ts"
import { getGroup } from "../../src/http/groups.ts"
import { type EndpointFailure, refusalOf } from "../../src/http/refusals.ts"
import { resetGroupOffsets, resetNeeds } from "../../src/http/resetOffsets.ts"
import type { StreamDirectory } from "../../src/streams/StreamDirectory.ts"
import { newestEvents } from "../support/newestEvents.ts"
import { now } from "../support/now.ts"
import { ShardHarness } from "../tools/ShardHarness.ts"

let harness: ShardHarness
let broker: Broker
let journal: MemoryJournal

/** Ten records in `orders-0`, none in `orders-1`, one in `other-0`; the group "g" has read four and none. */
beforeEach(async () => {
  journal = new MemoryJournal(systemClock)
  harness = new ShardHarness(journal)
  broker = harness.broker
  await harness.createStream("orders", [], 2)
  await harness.createStream("other", [], 1)
  for (let i = 0; i < 10; i++) await harness.append(logIdOf("orders", 0), `record ${i}`)
  await harness.append(logIdOf("other", 0), "one")
  await harness.commitOffset("g", "orders", 0, 4)
})

const logIdOf = (stream: string, partition: number): number => broker.directory.byName(stream)!.logIds[partition]!

const reset = async (group: string, payload: Partial<typeof ResetOffsets.Type>) => {
  const made = await Effect.runPromise(
    Effect.either(resetGroupOffsets(broker, group, { validateOnly: false, ...payload }))
  )
  return Either.isRight(made) ? made.right : refusalOf(made.left as EndpointFailure)
}

const committed = (group: string) =>
  now(getGroup(broker, group)).offsets.map(({ stream, partition, offset }) => [stream, partition, offset])

describe("a reset of a group's offsets", () => {
  it.each([
    [{ to: "earliest" }, 0],
    [{ to: "latest" }, 10],
    [{ to: "7" }, 7],
    [{ to: "99" }, 10],
    [{ by: 3 }, 7],
    [{ by: -3 }, 1],
    [{ by: -30 }, 0],
    [{ by: 30 }, 10],
    [{ to: "-1h" }, 0],
    [{ to: "2999-01-01T00:00:00Z" }, 10]
  ])("%j, within what the log has, is told and made", async (payload, after) => {
    const offsets = [{ stream: "orders", partition: 0, before: 4, after, logStartOffset: 0, highWatermark: 10 }]
    expect(await reset("g", { ...payload, validateOnly: true })).toEqual({ group: "g", validateOnly: true, offsets })
    expect(committed("g")).toEqual([["orders", 0, 4]])
    expect(await reset("g", payload)).toEqual({ group: "g", validateOnly: false, offsets })
    expect(committed("g")).toEqual([["orders", 0, after]])
  })

  it("begins no earlier than the log does", async () => {
    const moved = { _tag: "MoveLogStart", offset: 6, reason: "DeleteRecords" }
    await harness.ask(`partition/${logIdOf("orders", 0)}`, moved)
    expect(await reset("g", { to: "2" })).toMatchObject({ offsets: [{ after: 6, logStartOffset: 6 }] })
  })

  it("takes the streams and partitions that are named, and makes a group that is not there", async () => {
    const streams = [{ name: "orders" }, { name: "other", partitions: [0] }]
    expect(await reset("new", { streams, to: "earliest" })).toMatchObject({
      offsets: [
        { stream: "orders", partition: 0, before: null, after: 0 },
        { stream: "orders", partition: 1, before: null, after: 0, highWatermark: 0 },
        { stream: "other", partition: 0, before: null, after: 0, highWatermark: 1 }
      ]
    })
    expect(committed("new")).toHaveLength(3)
    await reset("g", { streams: [{ name: "other" }], to: "latest" })
    expect(committed("g")).toEqual([
      ["orders", 0, 4],
      ["other", 0, 1]
    ])
  })

  it("is one commit, journaled with who asked for it", async () => {
    await reset("g", { streams: [{ name: "orders" }], to: "earliest" })
    const [newest] = newestEvents({ journal, broker }, { actor: "group/g" }, 1)
    expect(newest).toMatchObject({
      actor: "group/g",
      event: { _tag: "OffsetsCommitted", generation: -1, offsets: [{ partition: 0, offset: 0 }, { partition: 1 }] },
      cause: { origin: "http POST /groups/reset-offsets by anonymous@?" }
    })
  })

  it.each([
    ["g", {}, "BAD_REQUEST", /either to or by/],
    ["g", { to: "earliest", by: 1 }, "BAD_REQUEST", /either to or by/],
    ["g", { to: "soon" }, "BAD_REQUEST", /to is earliest, latest, an offset, a time/],
    ["g", { to: "0", streams: [{ name: "nobody" }] }, "UNKNOWN_STREAM", /nobody/],
    [
      "g",
      { to: "0", streams: [{ name: "orders", partitions: [2] }] },
      "INVALID_PARTITIONS",
      /partitions 0 to 1, not 2/
    ],
    ["g", { to: "0", streams: [{ name: "orders" }, { name: "orders" }] }, "BAD_REQUEST", /"orders" is named twice/],
    [
      "g",
      { to: "0", streams: [{ name: "orders", partitions: [1, 0, 1] }] },
      "BAD_REQUEST",
      /partition 1 of orders is named twice/
    ],
    ["g", { by: 1, streams: [{ name: "orders" }] }, "BAD_REQUEST", /orders-1 has no committed offset/],
    ["nobody", { to: "earliest" }, "UNKNOWN_GROUP", /nobody/]
  ])("of %s by %j is refused as a whole: %s", async (group, payload, code, message) => {
    expect(await reset(group, payload)).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(committed("g")).toEqual([["orders", 0, 4]])
  })

  it("takes ten thousand partitions at most", async () => {
    const logIds = Array.from({ length: 10_001 }, (_, i) => 1000 + i)
    const wide = { ...broker.directory.byName("other")!, name: "wide", logIds }
    const directory: StreamDirectory = Object.create(broker.directory, {
      byName: { value: () => wide },
      byTopicId: { value: () => wide }
    })
    const ask = (partitions: ReadonlyArray<number> | undefined) => {
      const payload = { streams: [{ name: "wide", partitions }], to: "latest", validateOnly: true }
      return Effect.runPromise(Effect.either(resetGroupOffsets({ ...broker, directory }, "new", payload)))
    }
    expect(await ask(undefined)).toMatchObject({
      left: { code: "BAD_REQUEST", message: expect.stringContaining("10000 partitions at most") }
    })
    expect(await ask([...logIds.keys()].slice(1))).toMatchObject({ right: { offsets: { length: 10_000 } } })
  })

  it("lets others have a turn when it takes longer", async () => {
    let [nowMs, turns] = [0, 0]
    const clock: Clock = {
      ...systemClock,
      monotonicMs: () => (nowMs += 6),
      nextTurn: (task) => {
        turns++
        setImmediate(task)
      }
    }
    const payload = { streams: [{ name: "orders" }, { name: "other" }], to: "-1h", validateOnly: true }
    await Effect.runPromise(resetGroupOffsets({ ...broker, clock }, "g", payload))
    expect(turns).toBe(3)
  })

  it.each([{}, { streams: [{ name: "other" }, { name: "orders" }] }])(
    "%j is refused, and commits nothing, once a stream was deleted while others had a turn",
    async (chosen) => {
      let nowMs = 0
      const clock: Clock = {
        ...systemClock,
        monotonicMs: () => (nowMs += 6),
        nextTurn: (task) => {
          const isDeleted = broker.directory.byName("orders") === undefined
          void (
            isDeleted ? Promise.resolve() : harness.ask("catalog/0", { _tag: "DeleteStream", name: "orders" })
          ).then(task)
        }
      }
      const payload = { ...chosen, to: "earliest", validateOnly: false }
      const made = Effect.either(resetGroupOffsets({ ...broker, clock }, "g", payload))
      expect(await Effect.runPromise(made)).toMatchObject({
        left: { code: "UNKNOWN_STREAM", message: expect.stringContaining("orders") }
      })
      const [newest] = newestEvents({ journal, broker }, { actor: "group/g" }, 1)
      expect(newest, "no commit behind that of the set-up").toMatchObject({ event: { offsets: [{ offset: 4 }] } })
    }
  )

  it("is refused while the group has members, and before one that joins meanwhile", async () => {
    await harness.join("g", "m-1")
    for (const validateOnly of [true, false]) {
      const refused = await reset("g", { to: "earliest", validateOnly })
      expect(refused).toMatchObject({ code: "GROUP_HAS_MEMBERS", message: expect.stringContaining("its state is") })
    }
    expect(committed("g")).toEqual([["orders", 0, 4]])
    // What the actor says to a commit that comes behind a join.
    for (const reason of ["UnknownMemberId", "IllegalGeneration", "RebalanceInProgress"] as const) {
      const failure = { _tag: "GroupRefused", reason, memberId: "", message: "x" } as unknown as EndpointFailure
      expect(refusalOf(failure).code).toBe("GROUP_HAS_MEMBERS")
    }
  })

  it("needs what committing needs, of each stream", () => {
    const types = resetNeeds(broker, "g", { to: "earliest", validateOnly: true }).map(([operation, resource]) => [
      operation,
      resource
    ])
    expect(types).toMatchObject([
      ["Read", { type: "Group", name: "g" }],
      ["Read", { type: "Topic", name: "orders" }]
    ])
  })
})
