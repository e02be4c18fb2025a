import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { defaultLimits } from "@logbrook/core/Limits"
import { makeCatalog, type CatalogState } from "../../src/catalog/Catalog.ts"
import type { CatalogCommand, CatalogEvent, CatalogRefused, CreateStream } from "../../src/catalog/CatalogProtocol.ts"
import { effectiveConfig } from "../../src/catalog/StreamConfig.ts"

const limits = { ...defaultLimits, streamsMax: 3 }
const catalog = makeCatalog(limits)
const nowMs = 1_000

const create = (name: string, more: Partial<CreateStream> = {}): CreateStream => ({
  _tag: "CreateStream",
  name,
  topicId: `id-of-${name}`,
  filters: [],
  partitions: -1,
  key: "clientid",
  config: [],
  validateOnly: false,
  ...more
})

const given = (...commands: ReadonlyArray<CatalogCommand>): CatalogState => {
  let state = catalog.initial("catalog/0")
  for (const command of commands) state = catalog.decide(state, command, nowMs).events.reduce(catalog.evolve, state)
  return state
}

const refused = (state: CatalogState, command: CatalogCommand): CatalogRefused | undefined => {
  const { events, reply } = catalog.decide(state, command, nowMs)
  if (Exit.isSuccess(reply!)) return undefined
  expect(events).toEqual([])
  return Cause.squash(reply!.cause) as CatalogRefused
}

const refusal = (state: CatalogState, command: CatalogCommand): string => {
  const error = refused(state, command)
  return error === undefined ? "not refused" : (error.reason ?? "defect")
}

describe("creating", () => {
  it("gives a bound stream 16 partitions and a free one 1, with log ids that follow each other", () => {
    const state = given(create("bound", { filters: ["a/#"] }), create("free"))
    expect(state.streams.get("bound")!.logIds).toEqual(Array.from({ length: 16 }, (_, i) => 2 + i))
    expect(state.streams.get("free")!.logIds).toEqual([18])
  })

  it("leaves log id 1 to the messages of durable sessions", () => {
    expect(given(create("a")).streams.get("a")!.logIds).not.toContain(1)
  })

  it("never gives a log id again", () => {
    const state = given(create("a", { partitions: 4 }), { _tag: "DeleteStream", name: "a" }, create("a"))
    expect(state.streams.get("a")!.logIds).toEqual([6])
  })

  it("checks everything and changes nothing when it shall only validate", () => {
    const state = given()
    const { events, reply } = catalog.decide(state, create("a", { validateOnly: true }), nowMs)
    expect(events).toEqual([])
    expect(Exit.isSuccess(reply!)).toBe(true)
  })

  it.each([
    ["a/b", {}, "InvalidStreamName"],
    ["__consumer_offsets", {}, "InvalidStreamName"],
    ["..", {}, "InvalidStreamName"],
    ["taken", {}, "StreamExists"],
    ["a", { partitions: 0 }, "InvalidPartitions"],
    ["a", { partitions: 65 }, "InvalidPartitions"],
    ["a", { partitions: 1.5 }, "InvalidPartitions"],
    ["a", { filters: ["a#"] }, "InvalidFilter"],
    ["a", { filters: ["$share/g/a"] }, "InvalidFilter"],
    ["a", { filters: ["a", "a"] }, "InvalidFilter"],
    ["a", { filters: Array.from({ length: 65 }, (_, i) => `t/${i}`) }, "InvalidFilter"],
    ["a", { key: "payload" }, "InvalidKey"],
    ["a", { config: [["retention.ms", "soon"]] }, "InvalidConfig"],
    ["a", { config: [["no.such.setting", "1"]] }, "InvalidConfig"],
    ["a", { config: [["__proto__", "1"]] }, "InvalidConfig"],
    ["a", { config: [["cleanup.policy", "compact,"]] }, "InvalidConfig"],
    ["a", { config: [["cleanup.policy", "compact,forget"]] }, "InvalidConfig"],
    ["a", { config: [["min.cleanable.dirty.ratio", "1.1"]] }, "InvalidConfig"],
    ["a", { config: [["min.cleanable.dirty.ratio", "half"]] }, "InvalidConfig"],
    ["a", { config: [["min.compaction.lag.ms", "-1"]] }, "InvalidConfig"],
    ["a", { config: [["max.compaction.lag.ms", "0"]] }, "InvalidConfig"],
    ["a", { config: [["max.compaction.lag.ms", "9223372036854775808"]] }, "InvalidConfig"],
    ["a", { config: [["delete.retention.ms", "1d"]] }, "InvalidConfig"],
    [
      "a",
      {
        config: [
          ["min.compaction.lag.ms", "11"],
          ["max.compaction.lag.ms", "10"]
        ]
      },
      "InvalidConfig"
    ],
    ["a", { filters: ["x"], key: "none", config: [["cleanup.policy", "compact"]] }, "InvalidConfig"]
  ] as ReadonlyArray<[string, Partial<CreateStream>, string]>)("refuses %s with %j: %s", (name, more, reason) => {
    expect(refusal(given(create("taken")), create(name, more))).toBe(reason)
  })

  it.each([
    ["min.insync.replicas", "0", "a whole number from 1 to 2147483647"],
    ["compression.type", "none", "uncompressed or zstd or lz4 or snappy or gzip or producer"],
    ["compression.gzip.level", "9", "-1 only: what the server compresses has the usual level of its codec"],
    ["leader.replication.throttled.replicas", "0", "*, or partition:node with commas between them"],
    ["message.timestamp.type", "logAppendTime", "CreateTime or LogAppendTime"],
    ["retention.ms", "soon", "a whole number from -1 to 9223372036854775807"],
    ["delete.retention.ms", "1d", "a whole number from 0 to 9223372036854775807"],
    ["min.cleanable.dirty.ratio", "half", "a number from 0 to 1"],
    ["cleanup.policy", "forget", "delete, compact, both with a comma, or nothing"],
    ["mqtt.headers", "yes", "true or false"]
  ])("tells what %s takes instead of %s", (name, value, takes) => {
    const error = refused(given(), create("a", { config: [[name, value]] }))
    expect(error?.reason).toBe("InvalidConfig")
    expect(error?.message).toBe(`Invalid value ${value} for configuration ${name}, which takes ${takes}`)
  })

  it("refuses names that differ in dots and underscores only, whoever creates them, until the other is gone", () => {
    const state = given(create("plant.line_1"), create("plant.line_10"), create("plant-line-1"))
    for (const name of ["plant_line.1", "plant_line_1", "plant.line.1"]) {
      expect(refusal(state, create(name, { filters: ["a/#"] }))).toBe("InvalidStreamName")
      expect(refusal(state, create(name, { validateOnly: true }))).toBe("InvalidStreamName")
    }
    expect(refusal(state, create("plant.line_1"))).toBe("StreamExists")
    const later = given(create("plant.line_1"), { _tag: "DeleteStream", name: "plant.line_1" }, create("plant_line_1"))
    expect([...later.streams.keys()]).toEqual(["plant_line_1"])
  })

  it("refuses one stream too many", () => {
    expect(refusal(given(create("a"), create("b"), create("c")), create("d"))).toBe("TooManyStreams")
  })
})

const configOf = (...config: ReadonlyArray<readonly [string, string]>) =>
  effectiveConfig(given(create("a", { config })).streams.get("a")!.config)

it.each([
  ["true", true],
  ["TRUE", true],
  ["False", false]
])("takes the Boolean %s, in letters of either case as Kafka does", (text, mqttHeaders) => {
  expect(configOf(["mqtt.headers", text], ["preallocate", text])).toMatchObject({ mqttHeaders })
})

describe("compaction", () => {
  it("is off by default, with Kafka's settings", () => {
    expect(configOf()).toMatchObject({
      isCompacted: false,
      isExpiring: true,
      minCleanableDirtyRatio: 0.5,
      minCompactionLagMs: 0,
      maxCompactionLagMs: 2 ** 63,
      deleteRetentionMs: 86_400_000
    })
  })

  it.each([
    ["compact", true, false],
    ["delete", false, true],
    ["compact,delete", true, true],
    ["delete, compact", true, true],
    ["compact,compact", true, false],
    ["", false, false]
  ])("takes the policy %s", (policy, isCompacted, isExpiring) => {
    expect(configOf(["cleanup.policy", policy])).toMatchObject({ isCompacted, isExpiring })
  })

  it("keeps for ever what is kept for the longest time or up to the most bytes that Kafka knows", () => {
    const config = configOf(["retention.ms", "9223372036854775807"], ["retention.bytes", "9223372036854775807"])
    expect(config).toMatchObject({ retentionMs: -1, retentionBytes: -1 })
  })

  it("takes what Kafka takes", () => {
    const config = configOf(
      ["min.cleanable.dirty.ratio", "0"],
      ["min.compaction.lag.ms", "5"],
      ["max.compaction.lag.ms", "9223372036854775807"],
      ["delete.retention.ms", "0"]
    )
    expect(config).toMatchObject({ minCleanableDirtyRatio: 0, minCompactionLagMs: 5, deleteRetentionMs: 0 })
  })

  it("cannot be turned on for a bound stream without keys", () => {
    const state = given(create("bound", { filters: ["x"], key: "none" }), create("free", { key: "none" }))
    const config = [["cleanup.policy", "compact"]] as const
    expect(refusal(state, { _tag: "AlterStream", name: "bound", config })).toBe("InvalidConfig")
    expect(refusal(state, { _tag: "AlterStream", name: "free", config })).toBe("not refused")
  })
})

const deleted = (...more: ReadonlyArray<CatalogCommand>) =>
  given(create("a", { partitions: 2 }), create("b"), { _tag: "DeleteStream", name: "a" }, ...more)
const [deletion] = deleted().deletions
const notice = { _tag: "Notify", notice: { _tag: "ForgetStream", ...deletion } }
const repeated = (atMs: number, delayMs: number) => ({
  _tag: "SetDeadline",
  key: "outbox",
  atMs,
  command: { _tag: "RepeatIntents", delayMs }
})

describe("deleting", () => {
  it("tells what is to be forgotten, until that is confirmed", () => {
    const before = given(create("a", { partitions: 2 }), create("b"))
    const { signals } = catalog.decide(before, { _tag: "DeleteStream", name: "a" }, nowMs)
    expect(signals).toEqual([notice, repeated(nowMs + 1000, 2000)])
    expect(deletion).toMatchObject({ name: "a", logIds: [2, 3] })
    const again = catalog.decide(deleted(), { _tag: "RepeatIntents", delayMs: 32_000 }, nowMs)
    expect(again.signals).toEqual([repeated(nowMs + 32_000, 60_000), notice])
  })

  it("tells it again after a start, also from what was saved", () => {
    const state = catalog.load("catalog/0", catalog.save(deleted()))
    expect(state).toEqual(deleted())
    expect(catalog.resume(state, nowMs)).toEqual([repeated(nowMs, 1000)])
  })

  it("tells nothing once it is confirmed, however often", () => {
    const confirm: CatalogCommand = { _tag: "ConfirmDeletion", topicId: deletion!.topicId }
    const { events, signals } = catalog.decide(deleted(), confirm, nowMs)
    expect(events).toEqual([{ _tag: "DeletionConfirmed", topicId: deletion!.topicId }])
    expect(signals).toEqual([{ _tag: "CancelDeadline", key: "outbox" }])
    const state = deleted(confirm)
    expect(catalog.decide(state, confirm, nowMs)).toMatchObject({ events: [], signals: [] })
    expect(catalog.decide(state, { _tag: "RepeatIntents", delayMs: 1000 }, nowMs).signals).toEqual([])
    expect(catalog.resume(state, nowMs)).toEqual([])
    expect(catalog.save(state)).not.toHaveProperty("deletions")
    expect(state.weightBytes).toBe(given(create("b")).weightBytes)
  })

  it("refuses what is not there, whatever its name", () => {
    for (const name of ["a", "__proto__", "constructor"]) {
      expect(refusal(given(), { _tag: "DeleteStream", name })).toBe("UnknownStream")
    }
  })
})

const change = (kind: "append" | "subtract", entries: string, name = "cleanup.policy"): CatalogCommand => ({
  _tag: "AlterStream",
  name: "a",
  lists: [{ name, change: kind, entries }]
})

const more = (name: string, partitions: number): CatalogCommand => ({ _tag: "AlterStream", name, partitions })

describe("altering", () => {
  it("keeps what is not named, and takes a setting back to its default", () => {
    const state = given(
      create("a", { filters: ["x"], config: [["retention.ms", "5"]] }),
      { _tag: "AlterStream", name: "a", filters: ["x", "y/+"] },
      { _tag: "AlterStream", name: "a", config: [["retention.bytes", "7"]] },
      { _tag: "AlterStream", name: "a", config: [["retention.ms", null]] }
    )
    const { filters, config, topicId } = state.streams.get("a")!
    expect(filters).toEqual(["x", "y/+"])
    expect(topicId).toBe("id-of-a")
    expect(effectiveConfig(config)).toMatchObject({ retentionMs: 604_800_000, retentionBytes: 7 })
  })

  it("refuses a setting that there is none of, also to take it back", () => {
    const command: CatalogCommand = { _tag: "AlterStream", name: "a", config: [["retention", null]] }
    expect(refusal(given(create("a")), command)).toBe("InvalidConfig")
  })

  it("takes a configuration as a whole, where what it leaves out goes back to its default", () => {
    const state = given(create("a", { config: [["retention.ms", "5"]] }), {
      _tag: "AlterStream",
      name: "a",
      config: [["retention.bytes", "7"]],
      isWholeConfig: true
    })
    expect([...state.streams.get("a")!.config]).toEqual([["retention.bytes", "7"]])
  })

  it("adds entries to a list and takes them out, from the default where it has no value of its own", () => {
    const policy = (...commands: ReadonlyArray<CatalogCommand>) =>
      given(create("a"), ...commands)
        .streams.get("a")!
        .config.get("cleanup.policy")
    expect(policy(change("append", "delete, compact"))).toBe("delete,compact")
    expect(policy(change("append", "compact"), change("subtract", "delete"))).toBe("compact")
    expect(policy(change("subtract", "compact"))).toBe("delete")
    expect(policy(change("subtract", "delete"))).toBe("")
    const state = given(create("a"))
    expect(refusal(state, change("append", "unheard-of"))).toBe("InvalidConfig")
    expect(refusal(state, change("append", "1", "retention.ms"))).toBe("InvalidConfig")
    expect(refusal(state, change("append", "1", "no.such.key"))).toBe("InvalidConfig")
  })

  it("checks everything and changes nothing when it shall only validate", () => {
    const state = given(create("a"))
    const command = { _tag: "AlterStream", name: "a", validateOnly: true } as const
    const { events, reply } = catalog.decide(state, { ...command, config: [["retention.ms", "5"]] }, nowMs)
    expect([events, Exit.isSuccess(reply!)]).toEqual([[], true])
    expect(refusal(state, { ...command, config: [["retention.ms", "soon"]] })).toBe("InvalidConfig")
  })

  it("adds partitions behind those that there are, with log ids that nobody ever had", () => {
    const start = given(create("a", { partitions: 2 }), create("gone", { partitions: 3 }), create("b"))
    const state = [{ _tag: "DeleteStream", name: "gone" } as const, more("a", 4), more("b", 2), more("a", 5)].reduce(
      (before, command) => catalog.decide(before, command, nowMs).events.reduce(catalog.evolve, before),
      start
    )
    expect(state.streams.get("a")!.logIds).toEqual([2, 3, 8, 9, 11])
    expect(state.streams.get("b")!.logIds).toEqual([7, 10])
    expect(state.nextLogId).toBe(12)
    expect(catalog.load("catalog/0", catalog.save(state))).toEqual(state)
  })

  it("refuses fewer partitions, as many as before, and more than a stream may have", () => {
    const state = given(create("a", { partitions: 2 }))
    for (const partitions of [-1, 0, 1, 2, limits.partitionsPerStreamMax + 1, 2.5]) {
      expect(refusal(state, { _tag: "AlterStream", name: "a", partitions })).toBe("InvalidPartitions")
    }
    expect(refusal(state, { _tag: "AlterStream", name: "a", partitions: limits.partitionsPerStreamMax })).toBe(
      "not refused"
    )
  })

  it("keeps the partitions of a stream of last values that MQTT writes: its keys would leave the newest ones behind", () => {
    const config = [["cleanup.policy", "compact"]] as const
    const state = given(create("bound", { filters: ["x"], key: "topic", config }), create("free", { config }))
    expect(refusal(state, { _tag: "AlterStream", name: "bound", partitions: 20 })).toBe("InvalidPartitions")
    expect(refusal(state, { _tag: "AlterStream", name: "free", partitions: 20 })).toBe("not refused")
  })

  it("counts the memory of the partitions that are added", () => {
    const state = given(create("a"))
    const command = { _tag: "AlterStream", name: "a", partitions: 3 } as const
    const { events } = catalog.decide(state, command, nowMs)
    const after = events.reduce(catalog.evolve, state)
    expect(after.weightBytes).toBe((catalog.load("catalog/0", catalog.save(after)) as CatalogState).weightBytes)
    const { reply } = catalog.decide(state, command, nowMs, () => after.weightBytes - state.weightBytes - 1)
    expect(Exit.isFailure(reply!)).toBe(true)
  })

  it("never turns a bound stream into a free one, nor the other way", () => {
    const state = given(create("bound", { filters: ["x"] }), create("free"))
    expect(refusal(state, { _tag: "AlterStream", name: "bound", filters: [] })).toBe("InvalidFilter")
    expect(refusal(state, { _tag: "AlterStream", name: "free", filters: ["x"] })).toBe("InvalidFilter")
  })
})

it("gives each producer id once, also after a restart in between", () => {
  const first = given({ _tag: "AllocateProducerIds", count: 1000 })
  const { events } = catalog.decide(first, { _tag: "AllocateProducerIds", count: 10 }, nowMs)
  expect(events).toEqual([{ _tag: "ProducerIdsAllocated", first: 1001, count: 10 }])
})

const newLogIds = (event: CatalogEvent): ReadonlyArray<number> => {
  if (event._tag === "StreamCreated") return event.stream.logIds
  return event._tag === "StreamAltered" ? (event.addedLogIds ?? []) : []
}

it("is the fold of its events, and what it saves loads as the same", () => {
  const names = fc.constantFrom("a", "b", "c", "d")
  const commands = fc.array(
    fc.oneof(
      fc
        .record({ name: names, partitions: fc.integer({ min: -1, max: 3 }) })
        .map(({ name, partitions }) => create(name, { partitions })),
      names.map((name): CatalogCommand => ({ _tag: "DeleteStream", name })),
      fc.integer({ min: 1, max: 9 }).map((count): CatalogCommand => ({ _tag: "AllocateProducerIds", count })),
      names.map((name): CatalogCommand => ({ _tag: "AlterStream", name, config: [["retention.ms", "9"]] })),
      fc
        .record({ name: names, partitions: fc.integer({ min: 1, max: 5 }) })
        .map((more): CatalogCommand => ({ _tag: "AlterStream", ...more }))
    ),
    { maxLength: 30 }
  )
  fc.assert(
    fc.property(commands, (list) => {
      let state = catalog.initial("catalog/0")
      const journal: Array<CatalogEvent> = []
      const given = new Set<number>()
      for (const command of list) {
        const { events } = catalog.decide(state, command, nowMs)
        for (const event of events) {
          for (const id of newLogIds(event)) expect(given.has(id)).toBe(false)
          for (const id of newLogIds(event)) given.add(id)
          journal.push(event)
          state = catalog.evolve(state, event)
        }
        expect(catalog.load("catalog/0", structuredClone(catalog.save(state)))).toEqual(state)
      }
      expect(journal.reduce(catalog.evolve, catalog.initial("catalog/0"))).toEqual(state)
    })
  )
})
