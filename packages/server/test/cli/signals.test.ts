import { EventEmitter } from "node:events"
import { expect, it } from "vitest"
import { listenToSignals } from "../../src/cli/signals.ts"

it("a signal is forced by a second one, and not by its own echo", async () => {
  const source = new EventEmitter()
  let nowMs = 1000
  let forced = 0
  const signals = listenToSignals(
    source,
    () => nowMs,
    () => forced++
  )
  source.emit("SIGTERM", "SIGTERM")
  source.emit("SIGTERM", "SIGTERM")
  nowMs += 500
  source.emit("SIGINT", "SIGINT")
  expect(forced).toBe(0)
  nowMs += 1
  source.emit("SIGINT", "SIGINT")
  expect(forced).toBe(1)
  expect(await signals.first).toBe("SIGTERM")
  signals.ignore()
  source.emit("SIGTERM", "SIGTERM")
  expect(forced).toBe(1)
})
