import type { Clock } from "@logbrook/core/Clock"
import { Pending, type Later } from "./Answer.ts"

/** An answer that waits for something to happen, until its deadline. */
export interface LongPoll<T> {
  /** From now to the deadline. */
  readonly waitMsMax: number
  /** Has `wake` called whenever the answer may be there; what is returned ends that. */
  readonly watch: (wake: () => void) => () => void
  /** The answer, if it is there; called once per turn of the event loop, however often it was woken. */
  readonly look: () => T | undefined
  /** The answer at the deadline. */
  readonly expired: () => T
}

/**
 * Waits. `guarded` runs each call of the poll's functions.
 *
 *     wakes ──► look, on the next turn of the event loop ──► answer
 *     deadline ─────────► expired ────────────────► answer
 *     hurry ────────────► expired ────────────────► answer
 *     giveUp ───────────────────────────────────► nothing
 */
export const waitFor = <T>(clock: Clock, guarded: (task: () => void) => void, poll: LongPoll<T>): Later<T> => {
  const later = new Pending<T>()
  let isLooking = false
  const look = (): void => {
    isLooking = false
    if (later.giveUp === undefined) return
    const value = poll.look()
    if (value === undefined) return
    later.giveUp()
    later.give(value)
  }
  const unwatch = poll.watch(() => {
    // It may be woken several times by one commit, which has others to tell.
    if (isLooking) return
    isLooking = true
    clock.nextTurn(() => guarded(look))
  })
  const expire = (): void =>
    guarded(() => {
      later.giveUp?.()
      later.give(poll.expired())
    })
  const cancel = clock.after(poll.waitMsMax, expire)
  later.hurry = expire
  later.giveUp = () => {
    later.giveUp = undefined
    later.hurry = undefined
    cancel()
    unwatch()
  }
  return later
}
