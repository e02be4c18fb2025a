import type { CountDropped, QueueFull } from "@logbrook/actors/session/SessionProtocol"
import { expect, it } from "vitest"
import { systemClock } from "@logbrook/core/Clock"
import { QueueDrops } from "../../src/mqtt/QueueDrops.ts"

const full = (offsets: ReadonlyArray<number>, startedAtMs = 1): QueueFull => ({
  _tag: "QueueFull",
  clientId: "phone",
  startedAtMs,
  messages: offsets.map((offset) => ({ logId: 1, offset, limit: "offlineQueueMessagesMax" }))
})

const told = (...notices: ReadonlyArray<QueueFull>): ReadonlyArray<CountDropped> => {
  const commands: Array<CountDropped> = []
  const clock = { ...systemClock, after: () => () => undefined }
  const drops = new QueueDrops(clock, (_clientId, command) => void commands.push(command))
  for (const notice of notices) drops.note(notice)
  drops.flush()
  return commands
}

it("joins what a queue has dropped to one command with ranges of offsets", () => {
  expect(told(full([3, 4]), full([5]), full([9]))).toEqual([
    {
      _tag: "CountDropped",
      startedAtMs: 1,
      count: 4,
      limits: ["offlineQueueMessagesMax"],
      logId: 1,
      ranges: [
        [3, 5],
        [9, 9]
      ]
    }
  ])
})

it("has 16 ranges at most: the last one goes on to the newest offset", () => {
  const [command] = told(...Array.from({ length: 1000 }, (_, i) => full([2 * i])))
  expect(command!.count).toBe(1000)
  expect(command!.ranges).toHaveLength(16)
  expect(command!.ranges.at(-1)).toEqual([30, 1998])
})

it("forgets what a session before has missed", () => {
  expect(told(full([1]), full([2], 5))).toMatchObject([{ startedAtMs: 5, count: 1 }])
})
