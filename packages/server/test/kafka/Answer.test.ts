import type { Clock } from "@logbrook/core/Clock"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { describe, expect, expectTypeOf, it } from "vitest"
import { after, afterAll, Later, Pending, type Answer } from "../../src/kafka/Answer.ts"
import { handler } from "../../src/kafka/Handler.ts"
import { waitFor } from "../../src/kafka/LongPoll.ts"
import { Reply, replyOf } from "../../src/kafka/Reply.ts"

const double = (value: number): number => value * 2
const sum = (values: ReadonlyArray<number>): number => values.reduce((all, value) => all + value, 0)

const heard = <T>(answer: Answer<T>): Array<T> => {
  const values: Array<T> = []
  if (answer instanceof Later) answer.whenGiven((value) => values.push(value))
  else values.push(answer)
  return values
}

describe("an answer", () => {
  it("that is known at once stays a plain value", () => {
    expect(after(21, double)).toBe(42)
    expect(afterAll([1, 2, 3], sum)).toBe(6)
    expect(afterAll([], sum)).toBe(0)
  })

  it("that comes later is told in the call that learns of it, once", () => {
    const pending = new Pending<number>()
    const values = heard(after(pending, double))
    expect(values).toEqual([])
    pending.give(21)
    pending.give(1)
    expect(values).toEqual([42])
  })

  it("that was given before somebody listens is told all the same", () => {
    const pending = new Pending<number>()
    pending.give(21)
    expect(heard(after(pending, double))).toEqual([42])
  })

  it("of several parts keeps their order, and waits for the last of them", () => {
    const [first, third] = [new Pending<string>(), new Pending<string>()]
    const values = heard(afterAll<string, string>([first, "b", third], (parts) => parts.join("")))
    third.give("c")
    expect(values).toEqual([])
    first.give("a")
    expect(values).toEqual(["abc"])
  })
})

/** A clock whose timers and turns run when they are told to. */
const manual = () => {
  const turns: Array<() => void> = []
  const timers = new Set<() => void>()
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    nextTurn: (task) => void turns.push(task),
    after: (_delayMs, task) => {
      timers.add(task)
      return () => timers.delete(task)
    }
  }
  const turn = (): void => {
    for (const task of turns.splice(0)) task()
  }
  return { clock, timers, turn }
}

const poll = (found: () => string | undefined) => {
  const { clock, timers, turn } = manual()
  const wakers = new Set<() => void>()
  let looks = 0
  const answer = waitFor(clock, (task) => task(), {
    waitMsMax: 500,
    watch: (wake) => {
      wakers.add(wake)
      return () => wakers.delete(wake)
    },
    look: () => {
      looks++
      return found()
    },
    expired: () => "nothing"
  })
  const wake = (): void => {
    for (const each of wakers) each()
  }
  return { answer, values: heard(answer), wake, turn, timers, wakers, looks: () => looks }
}

describe("a long poll", () => {
  it("looks once per turn however often it is woken, and goes on waiting while there is nothing", () => {
    const found: Array<string> = []
    const { values, wake, turn, timers, wakers, looks } = poll(() => found[0])
    wake()
    wake()
    turn()
    expect([looks(), values, wakers.size]).toEqual([1, [], 1])
    found.push("records")
    wake()
    turn()
    expect([looks(), values]).toEqual([2, ["records"]])
    expect([wakers.size, timers.size]).toEqual([0, 0])
  })

  it("answers at its deadline, and hears of nothing after it", () => {
    const { answer, values, wake, turn, timers, wakers, looks } = poll(() => "records")
    wake()
    for (const expire of timers) expire()
    turn()
    expect([values, looks(), wakers.size]).toEqual([["nothing"], 0, 0])
    expect(answer.giveUp).toBeUndefined()
  })

  it("lets go of everything when it is given up", () => {
    const { answer, values, wake, turn, timers, wakers, looks } = poll(() => "records")
    wake()
    answer.giveUp?.()
    turn()
    expect([values, looks(), wakers.size, timers.size]).toEqual([[], 0, 0, 0])
  })
})

describe("a handler", () => {
  it("is one only with a response of its API, now or later", () => {
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: () => ({ errorCode: 0 }) })
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: () => new Pending<{ errorCode: number }>() })
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: () => new Reply({ errorCode: 0 }, { hangsUp: true }) })
    // @ts-expect-error -- a field is missing
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: () => ({}) })
    // @ts-expect-error -- of another type
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: () => new Pending<{ errorCode: string }>() })
    // @ts-expect-error -- nothing
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: () => undefined })
    // @ts-expect-error -- a promise, which would cost a turn of the event loop
    handler(Heartbeat, { serves: [0, 4], needs: {}, handle: async () => ({ errorCode: 0 }) })
    expectTypeOf(replyOf({ errorCode: 0 })).toEqualTypeOf<Reply<{ errorCode: number }>>()
    expect(replyOf({ errorCode: 0 })).toEqual(new Reply({ errorCode: 0 }, {}))
  })
})
