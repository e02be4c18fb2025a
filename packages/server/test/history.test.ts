import type { ExpiredSegments } from "@logbrook/core/shard/expiry"
import { defaultLimits } from "@logbrook/core/Limits"
import { expect, it } from "vitest"
import { TestClock } from "../../core/test/support/TestClock.ts"
import type { Broker } from "../src/Broker.ts"
import { Metrics } from "../src/Metrics.ts"
import { Retention } from "../src/Retention.ts"

const dayMs = 24 * 60 * 60 * 1000

/** What becomes of expired segments under a history of 7 days and 1 MB. */
const kept = async (expired: ExpiredSegments, nowMs: number, isTight: boolean): Promise<boolean> => {
  let isKept: boolean | undefined
  const shard = {
    logs: { logs: () => [] },
    dropExpiredSegments: (isHistory: (expired: ExpiredSegments) => boolean) => {
      isKept = isHistory(expired)
      return Promise.resolve(0)
    }
  }
  const clock = new TestClock(nowMs)
  const shards = { all: [shard], observe: () => undefined }
  const broker = {
    shards,
    clock,
    disk: { isTight },
    limits: defaultLimits,
    metrics: new Metrics()
  } as unknown as Broker
  const retention = new Retention(broker, { historyMs: 7 * dayMs, historyBytes: 1_000_000 })
  for (let looks = 0; looks < 10; looks++) retention.look()
  expect(isKept).toBeDefined()
  return isKept!
}

it("history is kept for its time, within its bytes, and as long as the disk has room", async () => {
  const nowMs = 1_800_000_000_000
  const young = { bytes: 900_000, endedAtMs: nowMs - 6 * dayMs }
  expect(await kept(young, nowMs, false)).toBe(true)
  expect(await kept({ ...young, endedAtMs: nowMs - 7 * dayMs }, nowMs, false)).toBe(false)
  expect(await kept({ ...young, bytes: 1_000_001 }, nowMs, false)).toBe(false)
  expect(await kept(young, nowMs, true)).toBe(false)
})
