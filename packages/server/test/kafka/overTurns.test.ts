import { expect, it } from "vitest"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import { after, type Answer } from "../../src/kafka/Answer.ts"
import { overTurns } from "../../src/kafka/overTurns.ts"
import { TurnShare } from "../../src/TurnShare.ts"

const isGiven = (answer: Answer<void>): boolean => {
  let given = false
  after(answer, () => (given = true))
  return given
}

const begun = (count: number) => {
  const clock = new TestClock()
  const share = new TurnShare(clock, 3)
  const done: Array<number> = []
  const guarded: Array<number> = []
  const context = {
    guarded: (task: () => void): void => {
      guarded.push(done.length)
      task()
    }
  }
  const step = (element: number): void => {
    share.use(1)
    done.push(element)
  }
  const answer = overTurns(
    context,
    share,
    Array.from({ length: count }, (_, i) => i),
    step
  )
  return { clock, done, guarded, answer }
}

it("what is within the share is done at once, and what is beyond it in the turns behind, in order", () => {
  expect(isGiven(begun(3).answer)).toBe(true)

  const { clock, done, guarded, answer } = begun(8)
  let given = false
  after(answer, () => (given = true))
  expect(done).toEqual([0, 1, 2])
  clock.runTurn()
  expect(done).toEqual([0, 1, 2, 3, 4, 5])
  expect(given).toBe(false)
  clock.runTurn()
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(given).toBe(true)
  // A defect of what is done later is the connection's.
  expect(guarded).toEqual([3, 6])
})
