import type { Subscription } from "./SessionProtocol.ts"

/** Subscriptions that follow one another and differ in their filters alone: most sessions have all of theirs alike. */
export interface SavedSubscriptions extends Omit<Subscription, "filter"> {
  readonly filters: Array<string>
}

/** Those of streams stand alone, since each has a reading of its own. */
const isAlike = (a: SavedSubscriptions, b: Subscription): boolean =>
  a.stream === undefined &&
  b.stream === undefined &&
  a.qos === b.qos &&
  a.noLocal === b.noLocal &&
  a.retainAsPublished === b.retainAsPublished &&
  a.retainHandling === b.retainHandling &&
  a.subscriptionId === b.subscriptionId

export const saveSubscriptions = (subscriptions: Iterable<Subscription>): ReadonlyArray<SavedSubscriptions> => {
  const saved: Array<SavedSubscriptions> = []
  for (const subscription of subscriptions) {
    const { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId, stream } = subscription
    const last = saved.at(-1)
    if (last !== undefined && isAlike(last, subscription)) {
      last.filters.push(filter)
      continue
    }
    const options = { qos, noLocal, retainAsPublished, retainHandling, subscriptionId }
    saved.push({ filters: [filter], ...options, ...(stream && { stream }) })
  }
  return saved
}

export const loadSubscriptions = (saved: ReadonlyArray<SavedSubscriptions>): ReadonlyArray<Subscription> => {
  const loaded: Array<Subscription> = []
  for (const { filters, qos, noLocal, retainAsPublished, retainHandling, subscriptionId, stream } of saved) {
    for (const filter of filters) {
      const plain = { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId }
      loaded.push(stream === undefined ? plain : { ...plain, stream })
    }
  }
  // The copy is as long as it has to be: an array that was pushed to has room for 16 more.
  return loaded.slice()
}
