import { systemClock } from "@logbrook/core/Clock"
import { expect, it } from "vitest"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import type { Fields, Log } from "../../src/Log.ts"
import { BoundedLines } from "../../src/net/BoundedLines.ts"

const quiet = (): void => undefined

const make = () => {
  const told: Array<string> = []
  const info = (message: string, { count }: Fields = {}): void =>
    void told.push(count === undefined ? message : `${message} ${count}`)
  const log: Log = { debug: quiet, info, warn: quiet, error: quiet }
  const clock = new TestClock(1_000_000_000_300)
  /** By how much timers are late. */
  const late = { ms: 0 }
  const lateClock = { ...systemClock, after: clock.after, monotonicMs: () => clock.monotonicMs() + late.ms }
  const lines = new BoundedLines(log, lateClock, "info", 2, "more")
  const write = (...messages: ReadonlyArray<string>): void => messages.forEach((message) => lines.write(message, {}))
  return { told, clock, late, lines, write }
}

it("tells how many more there were when the second is over, though nothing follows", () => {
  const { told, clock, write } = make()
  write("a", "b", "c", "d", "e")
  clock.advance(699)
  expect(told).toEqual(["a", "b"])
  clock.advance(1)
  expect(told).toEqual(["a", "b", "more 3"])
  clock.advance(10_000)
  write("f")
  expect(told).toEqual(["a", "b", "more 3", "f"])
  expect(clock.timers).toBe(0)
})

it("tells nothing of a second that had no more", () => {
  const { told, clock, write } = make()
  write("a", "b")
  expect(clock.timers).toBe(0)
  clock.advance(1000)
  write("c", "d")
  expect(told).toEqual(["a", "b", "c", "d"])
})

it("tells of the second before first, where the next line comes before its timer", () => {
  const { told, clock, late, write } = make()
  write("a", "b", "c")
  late.ms = 1000
  write("d")
  expect(told).toEqual(["a", "b", "more 1", "d"])
  expect(clock.timers).toBe(0)
})

it("tells at once when the server stops", () => {
  const { told, clock, lines, write } = make()
  write("a", "b", "c", "d")
  lines.flush()
  expect(told).toEqual(["a", "b", "more 2"])
  expect(clock.timers).toBe(0)
})
