import { Log } from "@logbrook/core/storage/Log"
import { expect, it } from "vitest"

it("a log whose records are gone with their segments goes on where it was, and its start never goes back", () => {
  const log = new Log(5)
  log.moveStart(40)
  expect([log.startOffset, log.highWatermark]).toEqual([40, 40])
  log.moveStart(30)
  expect([log.startOffset, log.highWatermark]).toEqual([40, 40])
})
