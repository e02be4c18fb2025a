import type { TurnShare } from "../TurnShare.ts"
import { type Answer, Pending } from "./Answer.ts"
import type { RequestContext } from "./Handler.ts"

/**
 * Does `step` for each element in order, in as many turns of the event loop as `share` makes of it, which `step` uses; answers behind the
 * last one.
 */
export const overTurns = <T>(
  { guarded }: Pick<RequestContext, "guarded">,
  share: TurnShare,
  elements: ReadonlyArray<T>,
  step: (element: T) => void
): Answer<void> => {
  const done = new Pending<void>()
  let next = 0
  const goOn = (): void => {
    while (next < elements.length) {
      if (share.isUsedUp) return share.wait(() => guarded(goOn))
      step(elements[next++]!)
    }
    done.give()
  }
  goOn()
  return done
}
