import { describe, expect, it } from "vitest"
import { TestClock } from "../../core/test/support/TestClock.ts"
import { TurnShare } from "../src/TurnShare.ts"

describe("the share of a turn", () => {
  it("is begun as long as something is left, and is whole again in the next turn", () => {
    const clock = new TestClock()
    const share = new TurnShare(clock, 10)
    share.use(9)
    expect(share.isUsedUp).toBe(false)
    share.use(50)
    expect(share.isUsedUp).toBe(true)
    clock.runTurn()
    expect(share.isUsedUp).toBe(false)
  })

  it("is given to those that wait in the order of coming, and those who have more to do come behind the others", () => {
    const clock = new TestClock()
    const share = new TurnShare(clock, 10)
    const done: Array<string> = []
    const work = (who: string, parts: number): void => {
      if (share.isUsedUp) {
        share.wait(() => work(who, parts))
        return
      }
      share.use(6)
      done.push(who)
      if (parts > 1) work(who, parts - 1)
    }
    share.use(10)
    work("a", 3)
    work("b", 1)
    work("c", 1)
    const turns: Array<string> = []
    while (clock.runTurn()) turns.push(done.splice(0).join(""))
    expect(turns).toEqual(["aa", "bc", "a", ""])
  })

  it("is for those that wait, also when one of them throws", () => {
    const clock = new TestClock()
    const share = new TurnShare(clock, 10)
    const done: Array<string> = []
    share.use(10)
    share.wait(() => {
      throw new Error("a defect")
    })
    share.wait(() => done.push("b"))
    expect(() => clock.runTurn()).toThrow("a defect")
    clock.runTurn()
    expect(done).toEqual(["b"])
  })
})
