import { describe, expect, it } from "vitest"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { noHeaders } from "@logbrook/core/Record"
import { TestClock } from "../../core/test/support/TestClock.ts"
import { definitions } from "../src/Broker.ts"
import { Broker as BrokerService, layerBroker, layerRecovered, Recovered } from "../src/composition.ts"
import { Retention } from "../src/Retention.ts"
import { built, layerTest } from "./support/parts.ts"
import { DiskGuard } from "../src/DiskGuard.ts"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { RetentionClock, type ClockStart, type TrustReason } from "../src/RetentionClock.ts"
import { pastOf } from "../src/tools/journalTools.ts"
import { newestState } from "../../core/test/support/newestState.ts"
import { lastEvents } from "./support/toolsAtOnce.ts"

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
const yearMs = 365 * dayMs
const startMs = 1_800_000_000_000
const noStart: ClockStart = { lastTimeMs: undefined, heldAtMs: undefined }

interface Watched {
  readonly machine: TestClock
  readonly clock: RetentionClock
  readonly told: Array<number | TrustReason>
  /** How far what retention goes by is behind the machine's clock. */
  readonly behindMs: () => number
  readonly pass: (ms: number) => void
}

const watched = (start: ClockStart = noStart, nowMs = startMs, limits = {}): Watched => {
  const machine = new TestClock(nowMs)
  const clock = new RetentionClock(machine, { ...defaultLimits, ...limits }, start)
  const told: Array<number | TrustReason> = []
  clock.onHeld = (aheadMs) => told.push(aheadMs)
  clock.onTrusted = (reason) => told.push(reason)
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= minuteMs) {
      machine.advance(Math.min(left, minuteMs))
      clock.look()
    }
  }
  return { machine, clock, told, behindMs: () => machine.nowMs() - clock.nowMs(), pass }
}

describe("the clock of retention", () => {
  it("is the machine's, also when it is set by up to an hour", () => {
    const { machine, told, behindMs, pass } = watched()
    pass(hourMs)
    for (const setForthMs of [hourMs, 0, -10 * yearMs, 0]) {
      machine.setForthMs = setForthMs
      pass(2 * minuteMs)
      expect(behindMs()).toBe(0)
    }
    expect(told).toEqual([])
  })

  it("goes by the time that passes while the machine's runs away, from the first moment on", () => {
    const { machine, clock, told, behindMs, pass } = watched()
    pass(hourMs)
    machine.setForthMs = 10 * yearMs
    expect(behindMs()).toBe(10 * yearMs)
    expect(told).toEqual([])
    pass(2 * hourMs)
    expect(behindMs()).toBe(10 * yearMs)
    expect(clock.isHeld).toBe(true)
    machine.setForthMs = 10 * minuteMs
    pass(minuteMs)
    expect(behindMs()).toBe(0)
    expect(told).toEqual([10 * yearMs, "clock"])
  })

  it("believes the machine's after a day, or when an operator says so, and begins anew from there", () => {
    const { machine, clock, told, behindMs, pass } = watched()
    machine.setForthMs = 12 * hourMs
    pass(dayMs)
    expect(behindMs()).toBe(12 * hourMs)
    pass(minuteMs)
    expect([behindMs(), told]).toEqual([0, [12 * hourMs, "time"]])
    expect(clock.trust()).toBe(false)
    machine.setForthMs = yearMs
    pass(minuteMs)
    expect(behindMs()).toBe(yearMs - 12 * hourMs)
    expect(clock.trust()).toBe(true)
    pass(minuteMs)
    expect([behindMs(), told.slice(2)]).toEqual([0, [yearMs - 12 * hourMs, "operator"]])
  })

  it("is not led away by many small steps, but follows a clock that is trimmed", () => {
    const stepped = watched()
    for (let i = 0; i < 40; i++) {
      stepped.machine.setForthMs += 5 * minuteMs
      stepped.pass(minuteMs)
    }
    expect(stepped.behindMs()).toBeGreaterThan(3 * hourMs - 10 * minuteMs)
    const trimmed = watched()
    for (let i = 0; i < 3000; i++) {
      trimmed.machine.setForthMs += 50 * 60
      trimmed.pass(minuteMs * 10)
    }
    expect([trimmed.behindMs(), trimmed.told]).toEqual([0, []])
  })

  it("lets a machine without a clock of its own, which begins in 1970, come to the time of the last commit", () => {
    const booted = watched({ lastTimeMs: startMs, heldAtMs: undefined }, 0)
    booted.pass(10 * minuteMs)
    booted.machine.setForthMs = startMs + 30 * minuteMs
    booted.pass(minuteMs)
    expect([booted.behindMs(), booted.told]).toEqual([0, []])
  })

  it("goes on holding after a restart, and believes any clock with a hold of 0", () => {
    const restarted = watched({ lastTimeMs: startMs + yearMs, heldAtMs: startMs }, startMs + yearMs)
    expect(restarted.clock.isHeld).toBe(true)
    restarted.pass(hourMs)
    expect(restarted.behindMs()).toBe(yearMs)
    const off = watched(noStart, startMs, { clockHoldMs: 0 })
    off.machine.setForthMs = yearMs
    off.pass(hourMs)
    expect([off.behindMs(), off.told]).toEqual([0, []])
  })
})

describe("retention by time", () => {
  const machine = new TestClock(startMs)
  const journal = new MemoryJournal(machine)
  const lived = () => {
    const limits = { ...defaultLimits, commitPacingMs: 0 }
    const parts = layerTest({ journal, clock: machine, limits, disk: new DiskGuard(".", limits) })
    const { context } = built(layerBroker.pipe(Layer.provideMerge(layerRecovered), Layer.provide(parts)))
    const { shards, clockStart } = Context.get(context, Recovered)
    const shard = shards.all[0]!
    shard.start((defect) => {
      throw defect
    })
    machine.runTurns()
    const retention = new Retention(Context.get(context, BrokerService), undefined, clockStart)
    const look = (): void => {
      for (let i = 0; i < 10; i++) retention.look()
      machine.advance(minuteMs)
    }
    return { shard, retention, look, log: () => shard.logs.log(2) }
  }

  const typesOf = () => lastEvents(pastOf(journal, definitions(defaultLimits)), 100, { kind: "shard" }).events

  it("lets nothing go because the clock is set years ahead, journals it, and says so after a restart, too", () => {
    const first = lived()
    const command = { _tag: "CreateStream", name: "s", topicId: "AAAAAAAAAAAAAAAAAAAAAA", filters: [], partitions: 1 }
    const config = [["retention.ms", String(7 * dayMs)]]
    const created = { ...command, key: "none", config, validateOnly: false }
    first.shard.offer({ to: "catalog/0", command: created, cause: { origin: "test" } })
    machine.runTurns()
    const batch = first.shard.partitionBatch(2, "test")
    batch.records.append(null, Buffer.from("a"), noHeaders, machine.nowMs(), [])
    first.shard.recordsAdded(batch.records.byteLength)
    machine.runTurns()
    expect(first.log().highWatermark).toBe(1)

    machine.setForthMs = 10 * yearMs
    for (let i = 0; i < 20; i++) first.look()
    expect(first.log().startOffset).toBe(0)
    first.shard.stop()

    const second = lived()
    for (let i = 0; i < 20; i++) second.look()
    expect(second.log().startOffset).toBe(0)
    second.retention.clock.trust()
    second.look()
    second.look()
    expect(second.log().startOffset).toBe(1)
    expect(typesOf().map(({ type }) => type)).toEqual(["Started", "ClockRanAhead", "Started", "ClockTrusted"])
    expect(typesOf()[1]!.event).toMatchObject({ aheadMs: 10 * yearMs, retentionAtMs: expect.any(Number) })
    expect(typesOf()[3]!.event).toMatchObject({ reason: "operator" })
    expect(newestState(second.shard.actors, "shard/0")).not.toHaveProperty("clockHeldAtMs")
  })
})
