import { Timers } from "@logbrook/core/shard/Timers"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TestClock } from "../support/TestClock.ts"

type Step =
  | { readonly _tag: "set"; readonly key: string; readonly inMs: number }
  | { readonly _tag: "cancel"; readonly key: string }
  | { readonly _tag: "advance"; readonly ms: number }
  | { readonly _tag: "clear" }

const key = fc.constantFrom("a", "b", "c", "d", "e")
const steps = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ _tag: fc.constant("set" as const), key, inMs: fc.integer({ min: -5, max: 60 }) })
    },
    { weight: 3, arbitrary: fc.record({ _tag: fc.constant("cancel" as const), key }) },
    { weight: 5, arbitrary: fc.record({ _tag: fc.constant("advance" as const), ms: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.constant({ _tag: "clear" as const }) }
  ),
  { maxLength: 80 }
)

describe("Timers", () => {
  it("expire each deadline once, at its time, unless it was moved or cancelled", () => {
    fc.assert(
      fc.property(steps, (run: ReadonlyArray<Step>) => {
        const clock = new TestClock(1000)
        const expired: Array<string> = []
        const timers = new Timers<string>(clock, (value) => expired.push(`${value} at ${clock.nowMs()}`))
        const model = new Map<string, { atMs: number; value: string }>()
        const wanted: Array<string> = []
        for (const [i, step] of [...run, { _tag: "advance", ms: 200 } as const].entries()) {
          if (step._tag === "set") {
            const atMs = clock.nowMs() + step.inMs
            timers.set(step.key, atMs, `${step.key}${i}`)
            model.set(step.key, { atMs, value: `${step.key}${i}` })
            if (step.inMs <= 0) {
              wanted.push(`${step.key}${i} at ${clock.nowMs()}`)
              model.delete(step.key)
            }
          } else if (step._tag === "cancel") {
            timers.cancel(step.key)
            model.delete(step.key)
          } else if (step._tag === "clear") {
            timers.clear()
            model.clear()
          } else {
            const fromMs = clock.nowMs()
            clock.advance(step.ms)
            for (const [name, { atMs, value }] of model) {
              if (atMs > clock.nowMs()) continue
              wanted.push(`${value} at ${Math.max(atMs, fromMs)}`)
              model.delete(name)
            }
          }
          expect(timers.size).toBe(model.size)
        }
        expect([...expired].sort()).toEqual(wanted.sort())
        const times = expired.map((line) => Number(line.split(" at ")[1]))
        expect(times).toEqual(times.toSorted((a, b) => a - b))
      }),
      { numRuns: 500 }
    )
  })

  it("keep few entries when one deadline is moved and cancelled for ever", () => {
    const clock = new TestClock()
    let expired = 0
    const timers = new Timers<number>(clock, () => expired++)
    for (let i = 0; i < 100_000; i++) {
      timers.set("heartbeat", clock.nowMs() + 100_000 - (i % 1000), i)
      if (i % 2 === 0) timers.cancel("heartbeat")
    }
    expect(clock.timers).toBe(1)
    clock.advance(200_000)
    expect(expired).toBe(1)
    expect(clock.timers).toBe(0)
  })

  it("wait for a deadline that is further away than a platform timer reaches", () => {
    const clock = new TestClock()
    const delays: Array<number> = []
    let expired = 0
    const watched = {
      ...clock,
      after: (delayMs: number, task: () => void) => {
        delays.push(delayMs)
        return clock.after(delayMs, task)
      }
    }
    const timers = new Timers<number>(watched, () => expired++)
    const farMs = 100 * 24 * 3600 * 1000
    timers.set("far", clock.nowMs() + farMs, 1)
    clock.advance(farMs - 1)
    expect(expired).toBe(0)
    clock.advance(1)
    expect(expired).toBe(1)
    expect(Math.max(...delays)).toBeLessThan(2 ** 31)
  })

  it("take as long as they were given though the machine's clock is set forth or back meanwhile", () => {
    for (const stepMs of [-20_000, 20_000]) {
      const clock = new TestClock()
      const expired: Array<string> = []
      const timers = new Timers<string>(clock, (value) => expired.push(value))
      const expiresAtMs = clock.nowMs() + 1000
      timers.set("session", expiresAtMs, "session")
      timers.set("member", clock.nowMs() + 1000, "member")
      clock.advance(400)
      clock.setForthMs = stepMs
      // The same deadline again, as after a replay of its actor; and one that is moved, as by a heartbeat.
      timers.set("session", expiresAtMs, "session again")
      timers.set("member", clock.nowMs() + 1000, "member again")
      clock.advance(599)
      expect(expired).toEqual([])
      clock.advance(1)
      expect(expired).toEqual(["session again"])
      clock.advance(399)
      expect(expired).toHaveLength(1)
      clock.advance(1)
      expect(expired).toEqual(["session again", "member again"])
    }
  })

  it("count from when they were made, though the clock is set before they are armed", () => {
    const clock = new TestClock()
    const expired: Array<string> = []
    const timers = new Timers<string>(clock, (value) => expired.push(value))
    const offsetMs = clock.nowMs() - clock.monotonicMs()
    const atMs = clock.nowMs() + 1000
    clock.setForthMs = 20_000
    timers.set("a", atMs, "a", offsetMs)
    clock.advance(999)
    expect(expired).toEqual([])
    clock.advance(1)
    expect(expired).toEqual(["a"])
  })

  it("may be set again while they expire", () => {
    const clock = new TestClock()
    const times: Array<number> = []
    const timers: Timers<number> = new Timers<number>(clock, (left) => {
      times.push(clock.nowMs())
      if (left > 0) timers.set("again", clock.nowMs() + 10, left - 1)
    })
    const fromMs = clock.nowMs()
    timers.set("again", fromMs + 10, 3)
    clock.advance(1000)
    expect(times.map((at) => at - fromMs)).toEqual([10, 20, 30, 40])
  })
})
