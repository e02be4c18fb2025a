import * as os from "node:os"
import type { Clock } from "@logbrook/core/Clock"
import { expect, it } from "vitest"
import { DiskGuard } from "../src/DiskGuard.ts"

const never: Clock = { nowMs: () => 0, monotonicMs: () => 0, after: () => () => undefined, nextTurn: () => undefined }

const checked = (diskReserveBytesMin: number, diskReserveRatioMin: number): DiskGuard => {
  const guard = new DiskGuard(os.tmpdir(), { diskReserveBytesMin, diskReserveRatioMin })
  guard.check()
  return guard
}

it("is low below the smaller of the two reserves", () => {
  expect(checked(Number.MAX_SAFE_INTEGER, 1).isLow).toBe(true)
  expect(checked(Number.MAX_SAFE_INTEGER, 0).isLow).toBe(false)
  expect(checked(1, 1).isLow).toBe(false)
})

it("looks again as soon as what was written could have used up the rest", () => {
  const guard = checked(1, 1)
  const { freeBytes } = guard
  guard.wrote(10)
  expect(guard.freeBytes).toBe(freeBytes - 20)
  guard.wrote(freeBytes)
  expect(guard.freeBytes).toBeGreaterThan(0)
  expect(guard.isLow).toBe(false)
})

it("tells of a change that a write has found, too, and once", () => {
  const limits = { diskReserveBytesMin: 1, diskReserveRatioMin: 1 }
  const guard = new DiskGuard(os.tmpdir(), limits)
  const told: Array<boolean> = []
  guard.start(never, (isLow) => told.push(isLow))
  limits.diskReserveBytesMin = Number.MAX_SAFE_INTEGER
  guard.freeBytes = 0
  guard.wrote(10)
  guard.check()
  expect(told).toEqual([true])
  limits.diskReserveBytesMin = 1
  guard.check()
  expect(told).toEqual([true, false])
})
