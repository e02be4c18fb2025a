import type { Subscription } from "./SessionProtocol.ts"

/** Up to so many stand in an array, which is looked through: a `Map` of ten takes 500 bytes more, for each session. */
const fewMax = 16

/** A session's subscriptions by filter, in the order in which their filters came. */
export class SubscriptionSet {
  /** An array never changes, so that copies of a set share it. */
  #held: ReadonlyArray<Subscription> | Map<string, Subscription>

  private constructor(held: ReadonlyArray<Subscription> | Map<string, Subscription>) {
    this.#held = held
  }

  /** No two have the same filter. */
  static of(subscriptions: ReadonlyArray<Subscription>): SubscriptionSet {
    return new SubscriptionSet(heldOf(subscriptions))
  }

  copy(): SubscriptionSet {
    const held = this.#held
    return new SubscriptionSet(held instanceof Map ? new Map(held) : held)
  }

  get size(): number {
    const held = this.#held
    return held instanceof Map ? held.size : held.length
  }

  get(filter: string): Subscription | undefined {
    const held = this.#held
    return held instanceof Map ? held.get(filter) : held[indexOf(held, filter)]
  }

  has(filter: string): boolean {
    const held = this.#held
    return held instanceof Map ? held.has(filter) : indexOf(held, filter) !== -1
  }

  /** No two of these have the same filter. */
  setAll(subscriptions: ReadonlyArray<Subscription>): void {
    if (this.size === 0) this.#held = heldOf(subscriptions)
    else for (const subscription of subscriptions) this.set(subscription)
  }

  /** Takes the place of one with the same filter. */
  set(subscription: Subscription): void {
    const held = this.#held
    if (held instanceof Map) {
      held.set(subscription.filter, subscription)
      return
    }
    const at = indexOf(held, subscription.filter)
    if (at !== -1) this.#held = held.with(at, subscription)
    else this.#held = heldOf(held.concat(subscription))
  }

  /** Tells whether it was there. */
  delete(filter: string): boolean {
    const held = this.#held
    if (held instanceof Map) return held.delete(filter)
    const at = indexOf(held, filter)
    if (at !== -1) this.#held = held.toSpliced(at, 1)
    return at !== -1
  }

  values(): IterableIterator<Subscription> {
    return this.#held.values()
  }

  *filters(): IterableIterator<string> {
    for (const { filter } of this.#held.values()) yield filter
  }
}

const indexOf = (few: ReadonlyArray<Subscription>, filter: string): number => {
  for (let at = 0; at < few.length; at++) if (few[at]!.filter === filter) return at
  return -1
}

const heldOf = (subscriptions: ReadonlyArray<Subscription>): ReadonlyArray<Subscription> | Map<string, Subscription> =>
  subscriptions.length <= fewMax
    ? subscriptions
    : new Map(subscriptions.map((subscription) => [subscription.filter, subscription]))
