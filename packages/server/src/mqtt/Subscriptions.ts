import type { QoS, Subscription } from "@logbrook/actors/session/SessionProtocol"
import { TopicTrie } from "@logbrook/core/TopicTrie"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"

/** The sum of one client's matching subscriptions: overlapping ones deliver once (MQTT 5, 3.3.4). */
export interface Match<S> {
  readonly subscriber: S
  /** The highest of them. */
  readonly qos: QoS
  readonly retainAsPublished: boolean
  readonly subscriptionIds: ReadonlyArray<number>
  /** The filter of the shared subscription that it is by, with `$share/…`, of which no other member gets it. */
  readonly share: string | undefined
}

/** The Subscription Identifiers of a message that comes by one subscription alone. */
export const subscriptionIdsOf = ({ subscriptionId }: Pick<Subscription, "subscriptionId">): ReadonlyArray<number> =>
  subscriptionId === null ? [] : [subscriptionId]

interface Target<S> {
  readonly clientId: string
  readonly match: Match<S>
  /** For what the client publishes itself: without its No Local subscriptions; undefined if there are no others. */
  readonly ownMatch: Match<S> | undefined
}

interface Entry<S> {
  /** The client id. */
  readonly key: string
  readonly subscriber: S
  readonly subscription: Subscription
}

/** A choice looks no further than at so many members, once it has found one. */
const membersLookedAtMax = 128

/** The members of `$share/NAME/FILTER`. */
export class ShareGroup<S> {
  /** By client id. */
  readonly #members = new Map<string, Match<S>>()
  /** Those that are connected, and those that have gone since and were not met yet; the next in turn first. */
  readonly #connected = new Map<string, Match<S>>()
  /** Those whose messages may wait for them, in the order of their turns; made anew once they have changed. */
  #order: ReadonlyArray<Match<S>> | undefined
  #turn = 0
  /** Members with messages in their queues that no member was connected for. */
  #holders: Set<S> | undefined

  get size(): number {
    return this.#members.size
  }

  /** In the order in which they have come. */
  *members(): IterableIterator<S> {
    for (const { subscriber } of this.#members.values()) yield subscriber
  }

  /** False: the client was a member before. */
  set(clientId: string, subscriber: S, subscription: Subscription): boolean {
    const isNew = !this.#members.has(clientId)
    this.#members.set(clientId, matchOf([{ key: clientId, subscriber, subscription }], subscription.filter))
    this.#order = undefined
    this.arrived(clientId)
    return isNew
  }

  delete(clientId: string): boolean {
    const member = this.#members.get(clientId)
    if (member === undefined) return false
    this.#order = undefined
    this.#connected.delete(clientId)
    this.#holders?.delete(member.subscriber)
    return this.#members.delete(clientId)
  }

  /** The client, if it is a member, is connected. */
  arrived(clientId: string): void {
    const member = this.#members.get(clientId)
    if (member !== undefined) this.#connected.set(clientId, member)
  }

  /**
   * As `take`, of those that are connected. Costs nothing for members that are away: whoever is met and has gone is not met again
   * before it arrives.
   */
  takeConnected(
    isConnected: (member: Match<S>) => boolean,
    isEligible: (member: Match<S>) => boolean,
    loadOf: (subscriber: S) => number
  ): Match<S> | undefined {
    let chosen: Match<S> | undefined
    let chosenId = ""
    let least = Infinity
    let tried = 0
    for (const [clientId, match] of this.#connected) {
      if (!isConnected(match)) {
        this.#connected.delete(clientId)
        continue
      }
      if (tried++ >= membersLookedAtMax && chosen !== undefined) break
      if (!isEligible(match)) continue
      const load = loadOf(match.subscriber)
      if (load >= least) continue
      chosen = match
      chosenId = clientId
      least = load
      if (least <= 0) break
    }
    if (chosen === undefined) return undefined
    this.#connected.delete(chosenId)
    this.#connected.set(chosenId, chosen)
    return chosen
  }

  /** The member's queue has a message that is for whoever is connected first. */
  holds(subscriber: S): void {
    this.#holders ??= new Set()
    this.#holders.add(subscriber)
  }

  /** Those members; from now on there are none. */
  takeHolders(): Iterable<S> {
    const holders = this.#holders ?? []
    this.#holders = undefined
    return holders
  }

  /**
   * The member with the least load of those whose messages may wait, with QoS 1 and 2, and that are `isEligible`; of several, the one
   * whose turn it is. Undefined: none is.
   */
  take(isEligible: (member: Match<S>) => boolean, loadOf: (subscriber: S) => number): Match<S> | undefined {
    const order = (this.#order ??= [...this.#members.values()].filter(({ qos }) => qos > 0))
    let chosen: Match<S> | undefined
    let least = Infinity
    let next = this.#turn
    for (let tried = 0; tried < order.length && least > 0; tried++) {
      if (tried >= membersLookedAtMax && chosen !== undefined) break
      const at = (this.#turn + tried) % order.length
      const match = order[at]!
      if (!isEligible(match)) continue
      const load = loadOf(match.subscriber)
      if (load >= least) continue
      chosen = match
      least = load
      next = at + 1
    }
    this.#turn = next
    return chosen
  }
}

/** The receivers of a topic's messages; valid until the subscriptions change. */
export interface Plan<S> {
  readonly targets: ReadonlyArray<Target<S>>
  readonly groups: ReadonlyArray<ShareGroup<S>>
  readonly isEmpty: boolean
}

const plansMax = 8192
/** The most targets of all plans that are remembered: a plan of a topic that all subscribe to has as many as there are clients. */
const targetsMax = 65_536

const matchOf = <S>(entries: ReadonlyArray<Entry<S>>, share?: string): Match<S> => {
  const ids = entries.map(({ subscription }) => subscription.subscriptionId).filter((id) => id !== null)
  return {
    subscriber: entries[0]!.subscriber,
    qos: Math.max(...entries.map(({ subscription }) => subscription.qos)) as QoS,
    retainAsPublished: entries.some(({ subscription }) => subscription.retainAsPublished),
    subscriptionIds: ids.sort((a, b) => a - b),
    share
  }
}

const targetOf = <S>(clientId: string, entries: ReadonlyArray<Entry<S>>): Target<S> => {
  const match = matchOf(entries)
  const heard = entries.filter(({ subscription }) => !subscription.noLocal)
  const ownMatch = heard.length === entries.length ? match : heard.length === 0 ? undefined : matchOf(heard)
  return { clientId, match, ownMatch }
}

/** All sessions' subscriptions by filter. `S` is whatever stands for a session. */
export class Subscriptions<S> {
  readonly #trie = new TopicTrie<Entry<S>>()
  /** By share name. */
  readonly #shared = new TopicTrie<{ readonly key: string; readonly group: ShareGroup<S> }>()
  readonly #groups = new Map<string, ShareGroup<S>>()
  readonly #plans = new Map<string, Plan<S>>()
  /** The targets of the plans. */
  #targets = 0
  readonly #empty: Plan<S> = { targets: [], groups: [], isEmpty: true }
  #sharedSize = 0

  get size(): number {
    return this.#trie.size + this.#sharedSize
  }

  /** Those of them that are shared. */
  get sharedSize(): number {
    return this.#sharedSize
  }

  add(clientId: string, subscriber: S, subscription: Subscription): void {
    this.#forgetPlans()
    const shared = parseSharedFilter(subscription.filter)
    if (shared === undefined) {
      this.#trie.add(subscription.filter, { key: clientId, subscriber, subscription })
      return
    }
    let group = this.#groups.get(subscription.filter)
    if (group === undefined) {
      group = new ShareGroup()
      this.#groups.set(subscription.filter, group)
      this.#shared.add(shared.filter, { key: shared.shareName, group })
    }
    if (group.set(clientId, subscriber, subscription)) this.#sharedSize++
  }

  /** True: it was the last one of those who share. */
  remove(clientId: string, filter: string): boolean {
    this.#forgetPlans()
    const shared = parseSharedFilter(filter)
    if (shared === undefined) {
      this.#trie.remove(filter, clientId)
      return false
    }
    const group = this.#groups.get(filter)
    if (group === undefined || !group.delete(clientId)) return false
    this.#sharedSize--
    if (group.size > 0) return false
    this.#groups.delete(filter)
    this.#shared.remove(shared.filter, shared.shareName)
    return true
  }

  /** Those who share `$share/NAME/FILTER`, if there are any. */
  group(filter: string): ShareGroup<S> | undefined {
    return this.#groups.get(filter)
  }

  /** Remembered per topic, so that a busy topic costs one look-up. */
  plan(topic: string): Plan<S> {
    if (this.#trie.size === 0 && this.#sharedSize === 0) return this.#empty
    const known = this.#plans.get(topic)
    if (known !== undefined) return known
    const plan = this.#plan(topic)
    const targets = plan.targets.length + plan.groups.length
    if (this.#plans.size >= plansMax || this.#targets + targets > targetsMax) this.#forgetPlans()
    this.#targets += targets
    this.#plans.set(topic, plan)
    return plan
  }

  #forgetPlans(): void {
    this.#plans.clear()
    this.#targets = 0
  }

  #plan(topic: string): Plan<S> {
    const byClient = new Map<string, Array<Entry<S>>>()
    this.#trie.match(topic, (entry) => {
      const entries = byClient.get(entry.key)
      if (entries === undefined) byClient.set(entry.key, [entry])
      else entries.push(entry)
    })
    const groups: Array<ShareGroup<S>> = []
    this.#shared.match(topic, ({ group }) => void groups.push(group))
    if (byClient.size === 0 && groups.length === 0) return this.#empty
    return {
      targets: Array.from(byClient, ([clientId, entries]) => targetOf(clientId, entries)),
      groups,
      isEmpty: false
    }
  }
}
