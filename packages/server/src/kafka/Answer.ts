/**
 * A value that will be known once, and is told in the very call that learns of it: unlike a promise, it takes no turn
 * of the event loop.
 */
export abstract class Later<T> {
  /**
   * Lets go of all that would wake it. It is there for as long as it waits for what may never come, such as records
   * to fetch; an answer of an actor has none, since an actor answers in any case.
   */
  giveUp: (() => void) | undefined
  /** There with `giveUp`: gives what it has at once, as at its deadline. */
  hurry: (() => void) | undefined

  /** `heard` is called once, at once if the value is known already. There is one listener at most. */
  abstract whenGiven(heard: (value: T) => void): void
}

/** The side that gives the value, which counts once, before or after somebody listens. */
export class Pending<T> extends Later<T> {
  #isGiven = false
  #value: T | undefined
  #heard: ((value: T) => void) | undefined

  give(value: T): void {
    if (this.#isGiven) return
    this.#isGiven = true
    if (this.#heard === undefined) this.#value = value
    else this.#heard(value)
  }

  override whenGiven(heard: (value: T) => void): void {
    if (this.#isGiven) heard(this.#value as T)
    else this.#heard = heard
  }
}

/** A value that is mostly known at once, and costs nothing more then; else it comes later. */
export type Answer<T> = T | Later<T>

/** `next` of the value, in the call that learns of it. */
export const after = <T, U>(answer: Answer<T>, next: (value: T) => U): Answer<U> => {
  if (!(answer instanceof Later)) return next(answer)
  const later = new Pending<U>()
  answer.whenGiven((value) => later.give(next(value)))
  return later
}

/** As `after`, where `next` is an answer that may come later as well. */
export const flatAfter = <T, U>(answer: Answer<T>, next: (value: T) => Answer<U>): Answer<U> => {
  if (!(answer instanceof Later)) return next(answer)
  const later = new Pending<U>()
  answer.whenGiven((value) => {
    const then = next(value)
    if (then instanceof Later) then.whenGiven((given) => later.give(given))
    else later.give(then)
  })
  return later
}

/** `next` of all values, in their order, once the last of them is known. */
export const afterAll = <T, U>(answers: ReadonlyArray<Answer<T>>, next: (values: ReadonlyArray<T>) => U): Answer<U> => {
  const values: Array<T> = []
  const waiting: Array<readonly [index: number, answer: Later<T>]> = []
  answers.forEach((answer, i) => {
    if (answer instanceof Later) waiting.push([i, answer])
    else values[i] = answer
  })
  let open = waiting.length
  if (open === 0) return next(values)
  const later = new Pending<U>()
  for (const [i, answer] of waiting) {
    answer.whenGiven((value) => {
      values[i] = value
      if (--open === 0) later.give(next(values))
    })
  }
  return later
}
