import { describe, expect, it } from "vitest"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { readFrameHead } from "@logbrook/core/journal/Frame"
import { PartitionBatch } from "@logbrook/core/shard/Intake"
import type { ExpiredSegments } from "@logbrook/core/shard/expiry"
import { encodeRecords } from "../support/commits.ts"
import { ShardHarness } from "../support/ShardHarness.ts"
import { TestClock } from "../support/TestClock.ts"
import { Counter } from "../support/toys.ts"
import { newestState } from "../support/newestState.ts"

const add = (n: number) => ({ _tag: "Add", n }) as const

const publish = (harness: ShardHarness, logId: number, token: number, value = "v"): void => {
  const batch = harness.shard.partitionBatch(logId, "mqtt")
  const index = batch.records.count
  const before = batch.records.byteLength
  if (!batch.records.append(null, Buffer.from(value), noHeaders, harness.clock.nowMs())) throw new Error("too long")
  harness.shard.recordsAdded(batch.records.byteLength - before)
  harness.shard.ack(harness, token, batch, index)
}

const boom = (): never => {
  throw new Error("boom")
}

/** The events of each commit from now on. */
const commitsOf = (harness: ShardHarness): Array<number> => {
  const events: Array<number> = []
  harness.shard.onCommit = (_durationMs, _bytes, count) => events.push(count)
  return events
}

it.each([
  [["mqtt a", "mqtt a"], "mqtt a"],
  [["mqtt a", "mqtt b", "mqtt a", "mqtt b"], "2 publishers"],
  [["mqtt a", "mqtt b", "mqtt c", "mqtt a"], "3 publishers"]
])("a partition batch of %j is of %s", (origins, wanted) => {
  const batch = new PartitionBatch(1, new RecordsBuilder(100), origins[0]!)
  for (const origin of origins.slice(1)) batch.joins(origin)
  expect(batch.origin).toBe(wanted)
})

describe("a shard replies", () => {
  it("only after the commit is durable", () => {
    const harness = new ShardHarness({ faultAt: (commit) => (commit === 2 ? { _tag: "Delay", ms: 100 } : undefined) })
    harness.start()
    harness.ask("a", "counter/1", add(5))
    expect(harness.advance(99)).toEqual([])
    // The state has moved on all the same.
    expect(newestState(harness.shard.actors, "counter/1")).toMatchObject({ total: 5 })
    expect(harness.advance(1)).toEqual(["a ok 5"])
  })

  it("in the order of the turns, those without events behind those before", () => {
    const harness = new ShardHarness({ faultAt: (commit) => (commit === 2 ? { _tag: "Delay", ms: 100 } : undefined) })
    harness.start()
    harness.ask("a", "counter/1", add(1))
    harness.clock.runTurns()
    harness.ask("read", "counter/1", { _tag: "Get" })
    harness.clock.runTurns()
    harness.ask("b", "counter/1", add(1))
    harness.ask("refused", "counter/1", { _tag: "Refuse" })
    expect(harness.run()).toEqual([])
    expect(harness.advance(100)).toEqual(["a ok 1", "read ok 1", "b ok 2", "refused failed refused"])
  })

  it("at once where nothing is to be made durable", () => {
    const harness = new ShardHarness().start()
    harness.ask("read", "counter/1", { _tag: "Get" })
    harness.clock.runTurn()
    expect(harness.heard()).toEqual(["read ok 0"])
  })

  it("with the decision's failure, or the defect of a `decide` that throws, to that caller only", () => {
    const harness = new ShardHarness().start()
    harness.ask("a", "counter/1", add(1))
    harness.ask("b", "counter/1", { _tag: "ThrowInDecide" })
    harness.ask("c", "nobody/1", add(1))
    harness.ask("d", "counter/1", add(1))
    expect(harness.run()).toEqual([
      "a ok 1",
      "b died Error decide is broken",
      'c died Error no actor of kind "nobody"',
      "d ok 2"
    ])
    expect(harness.defects).toEqual([
      "counter/1: Error: decide is broken",
      'nobody/1: Error: no actor of kind "nobody"'
    ])
    harness.expectReplayIsLive()
  })

  it("with a defect, and nothing changed, where an event cannot be journaled", () => {
    const harness = new ShardHarness().start()
    harness.ask("a", "counter/1", { _tag: "PackNothing" })
    harness.ask("b", "counter/1", add(1))
    expect(harness.run()).toEqual([expect.stringMatching(/^a died/), "b ok 1"])
    harness.expectReplayIsLive()
  })

  it("and hands notices and commands to others only after the commit", () => {
    const harness = new ShardHarness({ faultAt: (commit) => (commit === 2 ? { _tag: "Delay", ms: 10 } : undefined) })
    harness.start()
    harness.ask("pass", "counter/1", { _tag: "Pass", to: "counter/2", n: 7 })
    harness.ask("shout", "counter/1", { _tag: "Shout", text: "hello" })
    harness.clock.runTurns()
    expect(harness.notices).toEqual([])
    expect(newestState(harness.shard.actors, "counter/2")).toBeUndefined()
    harness.advance(10)
    expect(harness.notices).toEqual([{ _tag: "Shouted", text: "hello" }])
    expect(newestState(harness.shard.actors, "counter/2")).toMatchObject({ total: 7 })
    harness.expectReplayIsLive()
  })

  it("even if an observer, a reply or a receiver throws", () => {
    const harness = new ShardHarness().start()
    harness.shard.observe(Counter, boom)
    harness.shard.offer({ to: "counter/1", command: add(1), cause: {}, reply: boom })
    harness.shard.ack({ acked: boom }, 1, undefined, 0)
    harness.ask("a", "counter/1", add(1))
    harness.shard.ack(harness, 2, undefined, 0)
    expect(harness.run()).toEqual(["a ok 2", "ack 2"])
    expect(harness.defects.map((line) => line.split(":")[0])).toEqual(["counter/1", "counter/1", "reply", "acked"])
    expect(harness.faults).toEqual([])
  })

  it("after observers have seen the events", () => {
    const harness = new ShardHarness().start()
    const seen: Array<string> = []
    harness.shard.observe(Counter, (actor, event, seq) => seen.push(`${actor} ${event._tag} ${seq}`))
    harness.shard.offer({ to: "counter/1", command: add(1), cause: {}, reply: () => seen.push("reply") })
    harness.clock.runTurns()
    expect(seen).toEqual(["counter/1 Added 2", "reply"])
  })
})

describe("a shard parks", () => {
  it("replies until they are released, behind the commit that releases them", () => {
    const harness = new ShardHarness({ faultAt: (commit) => (commit === 3 ? { _tag: "Delay", ms: 10 } : undefined) })
    harness.start()
    harness.ask("wait", "counter/1", { _tag: "Wait", key: "k" })
    expect(harness.run()).toEqual([])
    harness.ask("free", "counter/1", { _tag: "Free", key: "k", value: 42 })
    expect(harness.run()).toEqual([])
    expect(harness.advance(10)).toEqual(["free ok 2", "wait ok 42"])
    harness.ask("again", "counter/1", { _tag: "Free", key: "k", value: 43 })
    expect(harness.run()).toEqual(["again ok 3"])
  })

  it("and releases within one turn, the older before the newer under the same key", () => {
    const harness = new ShardHarness().start()
    harness.ask("first", "counter/1", { _tag: "Wait", key: "k" })
    harness.ask("second", "counter/1", { _tag: "Replace", key: "k" })
    harness.ask("free", "counter/1", { _tag: "Free", key: "k", value: 9 })
    expect(harness.run()).toEqual(["first failed replaced", "free ok 3", "second ok 9"])
  })

  it("and leaves nobody without an answer", () => {
    const harness = new ShardHarness().start()
    harness.ask("first", "counter/1", { _tag: "Wait", key: "k" })
    harness.ask("second", "counter/1", { _tag: "Wait", key: "k" })
    harness.ask("silent", "counter/1", { _tag: "Silent" })
    harness.tell("counter/2", { _tag: "Silent" })
    expect(harness.run()).toEqual([
      "first died Error counter/1 no longer waits for this",
      "silent died Error counter/1 neither answered Silent nor parked its reply"
    ])
    // Also if nobody has asked.
    expect(harness.defects).toEqual([
      "counter/1: Error: counter/1 neither answered Silent nor parked its reply",
      "counter/2: Error: counter/2 neither answered Silent nor parked its reply"
    ])
    harness.ask("free", "counter/1", { _tag: "Free", key: "k", value: 1 })
    expect(harness.run()).toEqual(["free ok 4", "second ok 1"])
  })
})

describe("a shard's deadlines", () => {
  it("come as commands at their time, unless they are moved or cancelled", () => {
    const harness = new ShardHarness().start()
    harness.tell("counter/1", { _tag: "AddLater", key: "a", inMs: 100, n: 1 })
    harness.tell("counter/1", { _tag: "AddLater", key: "b", inMs: 50, n: 10 })
    harness.tell("counter/2", { _tag: "AddLater", key: "a", inMs: 70, n: 100 })
    harness.clock.runTurns()
    harness.tell("counter/1", { _tag: "AddLater", key: "b", inMs: 150, n: 20 })
    harness.tell("counter/2", { _tag: "Cancel", key: "a" })
    const total = (id: string) => newestState<{ total: number }>(harness.shard.actors, id)?.total
    harness.advance(99)
    expect([total("counter/1"), total("counter/2")]).toEqual([0, 0])
    harness.advance(1)
    expect(total("counter/1")).toBe(1)
    harness.advance(60)
    expect([total("counter/1"), total("counter/2")]).toEqual([21, 0])
    harness.expectReplayIsLive()
  })

  it("are armed anew by a recovery, and come at once when they have passed", () => {
    const first = new ShardHarness().start()
    first.tell("counter/1", { _tag: "AddLater", key: "soon", inMs: 100, n: 1 })
    first.tell("counter/1", { _tag: "AddLater", key: "late", inMs: 500, n: 10 })
    first.clock.runTurns()
    first.shard.stop()
    first.clock.advance(300)
    const second = new ShardHarness({ clock: first.clock, journal: first.journal }).start()
    second.clock.advance(0)
    expect(newestState(second.shard.actors, "counter/1")).toMatchObject({ total: 1 })
    second.clock.advance(200)
    expect(newestState(second.shard.actors, "counter/1")).toMatchObject({ total: 11 })
    second.expectReplayIsLive()
  })

  it("do not outlive a stop", () => {
    const harness = new ShardHarness().start()
    harness.tell("counter/1", { _tag: "AddLater", key: "a", inMs: 100, n: 1 })
    harness.clock.runTurns()
    expect(harness.clock.timers).toBe(1)
    harness.shard.stop()
    expect(harness.clock.timers).toBe(0)
  })
})

describe("a shard's partition batches", () => {
  it("get dense offsets, and their receivers hear in the order of their calls", () => {
    const harness = new ShardHarness().start()
    for (let token = 1; token <= 3; token++) publish(harness, 7, token)
    publish(harness, 8, 4)
    publish(harness, 7, 5)
    expect(harness.run()).toEqual(["ack 1 at 7:0", "ack 2 at 7:1", "ack 3 at 7:2", "ack 4 at 8:0", "ack 5 at 7:3"])
    publish(harness, 7, 6)
    expect(harness.run()).toEqual(["ack 6 at 7:4"])
    expect(harness.shard.logs.log(7).highWatermark).toBe(5)
    harness.expectReplayIsLive()
  })

  it("go on in another batch of the same turn when one is full", () => {
    const harness = new ShardHarness().start()
    const long = "x".repeat(30 * 1024)
    for (let token = 1; token <= 5; token++) publish(harness, 7, token, long)
    expect(harness.run()).toEqual([0, 1, 2, 3, 4].map((offset) => `ack ${offset + 1} at 7:${offset}`))
    expect(harness.shard.logs.log(7).index.count).toBe(3)
  })

  it("are refused as a whole with what their partition says", () => {
    const harness = new ShardHarness().start()
    publish(harness, 7, 1)
    harness.run()
    harness.tell("partition/7", { _tag: "DeleteLog" })
    harness.run()
    publish(harness, 7, 2)
    const refused = PartitionBatch.refused(9, "mqtt", "MessageTooLarge")
    harness.shard.ack(harness, 3, refused, 0)
    expect(harness.run()).toEqual(["ack 2 refused", "ack 3 refused"])
  })

  it("leave nothing of a log that is deleted in the same turn", () => {
    const harness = new ShardHarness().start()
    publish(harness, 7, 1)
    harness.tell("partition/7", { _tag: "DeleteLog" })
    harness.run()
    expect(Array.from(harness.shard.logs.logs(), (log) => log.id)).toEqual([])
  })

  it("acknowledge without a batch once the turn is durable, and that alone is a turn", () => {
    const harness = new ShardHarness({ faultAt: (commit) => (commit === 2 ? { _tag: "Delay", ms: 10 } : undefined) })
    harness.start()
    harness.shard.ack(harness, 1, undefined, 0)
    expect(harness.run()).toEqual(["ack 1"])
    harness.tell("counter/1", add(1))
    harness.clock.runTurn()
    harness.shard.ack(harness, 2, undefined, 0)
    expect(harness.run()).toEqual([])
    expect(harness.advance(10)).toEqual(["ack 2"])
  })

  it("wake the log's readers when their records can be read", () => {
    const harness = new ShardHarness().start()
    const log = harness.shard.logs.log(7)
    const seen: Array<number> = []
    const forget = log.onAppend(() => seen.push(harness.shard.logs.read(log, seen.length, 1e6).length))
    publish(harness, 7, 1)
    harness.run()
    publish(harness, 7, 2)
    harness.run()
    forget()
    publish(harness, 7, 3)
    harness.run()
    expect(seen).toEqual([1, 1])
  })
})

describe("a shard's commits", () => {
  it("hold all that came in one turn", () => {
    const harness = new ShardHarness().start()
    const commits = commitsOf(harness)
    for (let i = 0; i < 10; i++) harness.tell(`counter/${i % 3}`, add(1))
    publish(harness, 7, 1)
    harness.run()
    expect(commits).toEqual([11])
  })

  it("wait for company when the last one began a moment ago, unless much waits", () => {
    const harness = new ShardHarness({ limits: { commitPacingMs: 5, commitPacingBytesMax: 1000 } }).start()
    harness.clock.advance(100)
    const commits = commitsOf(harness)
    harness.tell("counter/1", add(1))
    harness.run()
    expect(commits).toEqual([1])
    harness.tell("counter/1", add(1))
    harness.advance(3)
    harness.tell("counter/1", add(1))
    harness.advance(1)
    expect(commits).toEqual([1])
    harness.advance(1)
    expect(commits).toEqual([1, 2])
    publish(harness, 7, 1, "x".repeat(1000))
    harness.run()
    expect(commits).toEqual([1, 2, 1])
    harness.shard.offer({ to: "counter/1", command: add(1), cause: {}, byteLength: 1000 })
    harness.run()
    expect(commits).toEqual([1, 2, 1, 1])
    harness.tell("counter/1", add(1))
    harness.run()
    expect(commits).toHaveLength(4)
    harness.advance(5)
    expect(commits).toHaveLength(5)
  })

  it("are in flight up to the limit; what comes then waits and is one commit", () => {
    const harness = new ShardHarness({
      limits: { commitsInFlightMax: 3 },
      faultAt: (commit) => (commit === 2 ? { _tag: "Delay", ms: 50 } : undefined)
    }).start()
    const commits = commitsOf(harness)
    for (let i = 0; i < 8; i++) {
      harness.ask(String(i), "counter/1", add(1))
      harness.clock.runTurns()
    }
    expect(harness.journal.nextSeq).toBe(5)
    expect(harness.shard.waiting).toBe(5)
    expect(harness.advance(50)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `${n - 1} ok ${n}`))
    expect(commits).toEqual([1, 1, 1, 5])
  })

  it("are in flight up to the limit also when pacing ends meanwhile", () => {
    const harness = new ShardHarness({
      limits: { commitsInFlightMax: 1, commitPacingMs: 5 },
      faultAt: (commit) => (commit === 2 ? { _tag: "Delay", ms: 50 } : undefined)
    }).start()
    harness.clock.advance(100)
    harness.tell("counter/1", add(1))
    harness.clock.runTurns()
    harness.tell("counter/1", add(1))
    harness.advance(20)
    expect(harness.journal.nextSeq).toBe(3)
    harness.advance(30)
    expect(harness.journal.nextSeq).toBe(4)
  })

  it("and inbox being full, say so, and call back when there is room", () => {
    const harness = new ShardHarness({ limits: { inboxCommandsMax: 3, commitInFlightBytesMax: 5000 } }).start()
    const { shard } = harness
    const offer = (byteLength: number) => shard.offer({ to: "counter/1", command: add(1), cause: {}, byteLength })
    expect([offer(0), offer(0), offer(0), offer(0)]).toEqual([true, true, false, false])
    let resumed = 0
    shard.whenRoom(() => resumed++)
    expect(resumed).toBe(0)
    harness.run()
    expect(resumed).toBe(1)
    shard.whenRoom(() => resumed++)
    expect(resumed).toBe(2)
    expect([offer(4999), offer(1)]).toEqual([true, false])
  })
})

describe("a shard whose journal is poisoned", () => {
  it("says so once and acknowledges nothing any more", async () => {
    const harness = new ShardHarness({
      faultAt: (commit) => {
        if (commit === 2) return { _tag: "Delay", ms: 10 }
        return commit === 3 ? { _tag: "Refuse", detail: "EIO" } : undefined
      }
    }).start()
    harness.ask("durable", "counter/1", add(1))
    harness.clock.runTurns()
    harness.ask("refused", "counter/1", add(1))
    harness.clock.runTurns()
    harness.ask("read", "counter/1", { _tag: "Get" })
    publish(harness, 7, 1)
    harness.clock.runTurns()
    expect(harness.advance(10)).toEqual(["durable ok 1"])
    expect(harness.poisons).toEqual([{ reason: "Unavailable", detail: "EIO" }])
    expect(harness.shard.isPoisoned).toBe(true)
    harness.ask("later", "counter/1", add(1))
    harness.shard.ack(harness, 2, undefined, 0)
    expect(harness.advance(10_000)).toEqual([])
    expect(harness.poisons).toHaveLength(1)
    // Nobody waits for ever for what no longer comes.
    await harness.shard.completed()
    await harness.shard.drained()
  })

  it("wakes who waits for it to complete or drain", async () => {
    const harness = new ShardHarness({
      faultAt: (commit) => (commit === 2 ? { _tag: "Refuse", detail: "EIO" } : undefined)
    }).start()
    harness.tell("counter/1", add(1))
    harness.clock.runTurn()
    const completed = harness.shard.completed()
    const drained = harness.shard.drained()
    harness.clock.runTurns()
    await completed
    await drained
    expect(harness.poisons).toHaveLength(1)
  })
})

const hashesAfter = (noteBytes: number): number => {
  const harness = new ShardHarness().start()
  harness.ask("note", "counter/a", { _tag: "Note", bytes: Buffer.alloc(noteBytes) })
  for (let i = 0; i < 6 * 32; i++) harness.ask("more", "counter/a", add(1))
  harness.run()
  return harness.replayed(harness.journal.nextSeq).hashes
}

describe("state hashes", () => {
  it("come after 32 events of a small state, and the more rarely the larger it is", () => {
    expect(hashesAfter(10)).toBe(6)
    // 64 events pay for one hash of 16 KiB; the first comes when the size is not known yet.
    expect(hashesAfter(16 * 1024 - 100)).toBe(3)
    expect(hashesAfter(10 * 1024 * 1024)).toBe(1)
  })

  it("come with every 32nd event of an actor, without a stop", () => {
    const harness = new ShardHarness().start()
    const hashes = () => harness.replayed(harness.journal.nextSeq).hashes
    for (let i = 0; i < 31; i++) harness.tell("counter/a", add(1))
    harness.tell("counter/b", add(1))
    harness.run()
    expect(hashes()).toBe(0)
    harness.tell("counter/a", add(1))
    harness.run()
    expect(hashes()).toBe(1)
    for (let i = 0; i < 64; i++) harness.tell("counter/a", add(1))
    harness.run()
    expect(hashes()).toBe(3)
    harness.expectReplayIsLive()
  })

  it("come with every 1,024th of a partition, whose events are many and small", () => {
    const harness = new ShardHarness().start()
    const hashes = () => harness.replayed(harness.journal.nextSeq).hashes
    const append = (times: number) => {
      for (let i = 0; i < times; i++) {
        const bytes = encodeRecords([{ key: null, value: "x", timestampMs: 1 }]).bytes
        harness.tell("partition/1", { _tag: "AppendRecords", count: 1, firstTimestampMs: 1, maxTimestampMs: 1, bytes })
      }
      harness.run()
    }
    append(1023)
    expect(hashes()).toBe(0)
    append(1)
    expect(hashes()).toBe(1)
  })
})

describe("a shard that ends in order", () => {
  it("journals the stop with a hash of every changed actor, and begins a new epoch next time", async () => {
    const first = new ShardHarness().start()
    for (let i = 0; i < 5; i++) first.ask(`c${i}`, `counter/${i}`, add(i + 1))
    const drained = first.shard.drained()
    expect(first.run()).toHaveLength(5)
    await drained
    const { hashes, mismatches } = first.replayed(first.journal.nextSeq)
    expect(mismatches).toEqual([])
    // Five counters and the shard's own.
    expect(hashes).toBe(6)
    expect(newestState(first.shard.actors, "shard/0")).toMatchObject({ epoch: 1, isStopped: true })

    const second = new ShardHarness({ clock: first.clock, journal: first.journal }).start()
    expect(second.shard.epoch).toBe(2)
    expect(newestState(second.shard.actors, "shard/0")).toMatchObject({ epoch: 2, isStopped: false, starts: 2 })
    expect(newestState(second.shard.actors, "counter/4")).toMatchObject({ total: 5 })
  })
})

describe("a shard's actors", () => {
  it("are packed when idle, forgotten when empty, and woken unchanged", () => {
    const harness = new ShardHarness().start()
    harness.tell("counter/kept", add(3))
    harness.tell("counter/kept", { _tag: "Note", bytes: Uint8Array.of(1, 2, 3) })
    harness.tell("counter/empty", add(3))
    harness.tell("counter/empty", { _tag: "Reset" })
    harness.ask("parked", "counter/parked", { _tag: "Wait", key: "k" })
    harness.run()
    const before = harness.states()
    harness.clock.advance(60_001)
    for (let i = 0; i < 5; i++) {
      harness.tell("counter/busy", { _tag: "Get" })
      harness.run()
    }
    const { actors } = harness.shard
    expect(actors.passiveCount).toBe(2)
    expect(actors.get("counter/kept")).toBeUndefined()
    expect(actors.get("counter/parked")).toBeDefined()
    expect(actors.ids()).not.toContain("counter/empty")
    expect(harness.states()).toEqual(before)
    harness.ask("a", "counter/kept", add(1))
    harness.ask("b", "counter/empty", add(1))
    expect(harness.run()).toEqual(["a ok 4", "b ok 1"])
    harness.expectReplayIsLive()
  })

  it("that weigh on an account are forgotten when empty as soon as that is durable, unless somebody waits at them", () => {
    const harness = new ShardHarness({ counterBytes: 100 }).start()
    const { actors, memory } = harness.shard
    for (const id of ["counter/empty", "counter/parked"] as const) harness.tell(id, add(3))
    harness.ask("parked", "counter/parked", { _tag: "Wait", key: "k" })
    harness.run()
    const ofTwo = memory.bytes("sessions")
    expect(ofTwo).toBeGreaterThan(200)
    for (const id of ["counter/empty", "counter/parked"] as const) harness.tell(id, { _tag: "Reset" })
    harness.run()
    expect(actors.ids()).toContain("counter/parked")
    expect(actors.ids()).not.toContain("counter/empty")
    const ofOne = memory.bytes("sessions")
    expect(ofOne).toBeLessThan(ofTwo - 100)
    harness.ask("again", "counter/empty", add(1))
    expect(harness.run()).toContain("again ok 1")
    expect(memory.bytes("sessions")).toBe(ofTwo)
    harness.expectReplayIsLive()
  })

  it("that a replay leaves empty weigh nothing, either", () => {
    const first = new ShardHarness({ counterBytes: 100 }).start()
    first.tell("counter/empty", add(3))
    first.tell("counter/empty", { _tag: "Reset" })
    first.tell("counter/kept", add(3))
    first.run()
    const { clock, journal } = first
    const { actors, memory } = new ShardHarness({ counterBytes: 100, clock, journal }).start().shard
    expect(actors.ids()).toContain("counter/kept")
    expect(actors.ids()).not.toContain("counter/empty")
    expect(memory.bytes("sessions")).toBe(first.shard.memory.bytes("sessions"))
  })

  it("stay live when they cannot be packed", () => {
    const switches = { breaksEvolve: false, breaksSave: true }
    const harness = new ShardHarness({ switches }).start()
    harness.tell("counter/1", add(3))
    harness.run()
    harness.clock.advance(60_001)
    for (let i = 0; i < 3; i++) {
      harness.tell("counter/2", { _tag: "Get" })
      harness.run()
    }
    expect(harness.shard.actors.get("counter/1")).toBeDefined()
    expect(harness.defects).toContain("counter/1: Error: save is switched off")
    expect(harness.faults).toEqual([])
  })
})

describe("a shard's snapshots", () => {
  it("begin after each roll, go on by a page a turn, and let older segments go", async () => {
    const harness = new ShardHarness({ segmentBytes: 2000, limits: { snapshotPageBytesMax: 200 } }).start()
    const { journal, shard } = harness
    const fromSeqs = new Set<number>()
    for (let i = 0; i < 200; i++) {
      harness.tell(`counter/${i % 20}`, { _tag: "Note", bytes: Buffer.alloc(100, i) })
      harness.run()
      const snapshot = journal.snapshot(journal.nextSeq)
      if (snapshot === undefined) continue
      fromSeqs.add(snapshot.fromSeq)
      if (fromSeqs.size > 1) expect(snapshot.pages.length).toBeGreaterThan(5)
    }
    expect(journal.segments().length).toBeGreaterThan(5)
    expect(fromSeqs.size).toBeGreaterThan(3)
    const newest = Math.max(...fromSeqs)
    const before = journal.segments().length
    const dropped = await shard.dropExpiredSegments()
    expect(dropped).toBeGreaterThan(2)
    expect(journal.segments()).toHaveLength(before - dropped)
    expect(journal.segments()[0]!.nextSeq).toBeGreaterThan(newest)
    expect(await shard.dropExpiredSegments()).toBe(0)
    harness.expectReplayIsLive()
  })

  it("keep segments whose records can still be read", async () => {
    const harness = new ShardHarness({ segmentBytes: 2000 }).start()
    publish(harness, 7, 1)
    for (let i = 0; i < 100; i++) {
      harness.tell("counter/1", { _tag: "Note", bytes: Buffer.alloc(100, i) })
      harness.run()
    }
    const { shard } = harness
    expect(await shard.dropExpiredSegments()).toBe(0)
    expect(shard.logs.read(shard.logs.log(7), 0, 1000)).toHaveLength(1)
    harness.tell("partition/7", { _tag: "MoveLogStart", offset: 1 })
    harness.run()
    expect(await shard.dropExpiredSegments()).toBeGreaterThan(0)
    expect(shard.logs.read(shard.logs.log(7), 0, 1000)).toEqual([])
  })

  it("let expired segments stay for as long as they are history", async () => {
    const harness = new ShardHarness({ segmentBytes: 2000 }).start()
    for (let i = 0; i < 100; i++) {
      harness.tell("counter/1", { _tag: "Note", bytes: Buffer.alloc(100, i) })
      harness.run()
      harness.clock.advance(1000)
    }
    const { journal, shard, clock } = harness
    const asked: Array<ExpiredSegments> = []
    const keptAll = await shard.dropExpiredSegments((expired) => asked.push(expired) > 0)
    expect({ keptAll, asked: asked.length }).toEqual({ keptAll: 0, asked: 1 })
    const [first, second] = journal.segments()
    expect(asked[0]!.bytes).toBeGreaterThan(first!.bytes + second!.bytes)
    const behind = readFrameHead(journal.frame(second!.firstSeq)!)
    expect(asked[0]!.endedAtMs).toBe(behind.timeMs)
    const historyMs = 80_000
    const dropped = await shard.dropExpiredSegments(({ endedAtMs }) => clock.nowMs() - endedAtMs < historyMs)
    expect(dropped).toBeGreaterThan(0)
    const ends = journal.segments().slice(1)
    expect(readFrameHead(journal.frame(ends[0]!.firstSeq)!).timeMs).toBeGreaterThan(clock.nowMs() - historyMs)
    const before = journal.segments().length
    let bytes = 0
    await shard.dropExpiredSegments((expired) => (bytes = expired.bytes) > 0)
    const historyBytes = bytes - 1
    const more = await shard.dropExpiredSegments((expired) => (bytes = expired.bytes) <= historyBytes)
    expect(more).toBeGreaterThan(0)
    expect(bytes).toBeLessThanOrEqual(historyBytes)
    expect(journal.segments()).toHaveLength(before - more)
  })

  it("are given up when an actor cannot be saved", () => {
    const switches = { breaksEvolve: false, breaksSave: true }
    const harness = new ShardHarness({ segmentBytes: 2000, switches }).start()
    for (let i = 0; i < 60; i++) {
      harness.tell("counter/1", { _tag: "Note", bytes: Buffer.alloc(100, i) })
      harness.run()
    }
    expect(harness.journal.segments().length).toBeGreaterThan(2)
    expect(harness.journal.snapshot(harness.journal.nextSeq)).toBeUndefined()
    expect(harness.defects).toContain("counter/1: Error: save is switched off")
    expect(harness.faults).toEqual([])
  })
})

describe("TestClock", () => {
  it("runs tasks in the order of their times, then of their calls", () => {
    const clock = new TestClock(0)
    const ran: Array<string> = []
    clock.after(20, () => ran.push(`c ${clock.nowMs()}`))
    clock.after(10, () => {
      ran.push(`a ${clock.nowMs()}`)
      clock.nextTurn(() => ran.push("turn"))
      clock.after(5, () => ran.push(`b ${clock.nowMs()}`))
    })
    clock.after(20, () => ran.push("d"))
    clock.after(15, () => ran.push("cancelled"))()
    clock.advance(20)
    expect(ran).toEqual(["a 10", "turn", "b 15", "c 20", "d"])
  })
})
