import { Log } from "@logbrook/core/storage/Log"
import { expect, it } from "vitest"

it("a log whose records are gone with their segments goes on where it was, and its start never goes back", () => {
  const log = new Log(5)
  log.moveStart(40)
  expect([log.startOffset, log.highWatermark]).toEqual([40, 40])
  log.moveStart(30)
  expect([log.startOffset, log.highWatermark]).toEqual([40, 40])
})

it("a log goes on behind its last record, whether or not the records between are still there", () => {
  const log = new Log(5)
  const epochs = [{ epoch: 3, startOffset: 40 }]
  log.restore({ logStartOffset: 40, nextOffset: 45, epochs })
  expect([log.startOffset, log.highWatermark, log.epochs]).toEqual([40, 45, epochs])
})
