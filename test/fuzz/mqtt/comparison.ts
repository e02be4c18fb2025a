import { matches } from "@logbrook/core/TopicFilter"
import type { Delivery } from "./fate.ts"

/** What came of a conversation in one way of cutting it. */
export interface Fate {
  readonly answers: string
  readonly releases: string
  readonly refusals: string
  readonly left: string
  readonly deliveries: ReadonlyArray<Delivery>
  /** Messages above their client's Maximum Packet Size: they count as delivered, and nobody sees them. */
  readonly tooLarge: number
  /** On the accounts, for sessions and for what waits for them. */
  readonly sessionBytes: string
  /** What that is, by session: of as many bytes each server may keep other messages, where several share a subscription. */
  readonly waiting: string
  /** The deliveries that were to be acknowledged, by packet id. */
  readonly withIds: string
  /** A connection has ended, with what was on its way. */
  readonly hasEnded: boolean
  /** A client had as many deliveries as it takes at once: what else it gets follows from the order in which they came. */
  readonly isFull: boolean
  /** Topic filters that several share: any of them may get a message. */
  readonly shared: ReadonlySet<string>
}

/**
 * How far the fates of a conversation have to be the same:
 *
 * - `full`: in all that they have.
 * - `end`: but for deliveries that were on their way when a connection ended. Byte by byte the client has waited for them: the others
 *   have none that is not there.
 * - `open`: as `end`, without the deliveries that follow from the order in which they came, and those by shared subscriptions;
 *   and without what waits for sessions, if a window was full or several share a subscription.
 * - `ids`: as `open`, and the client acknowledges packet ids that stand for other messages.
 * - `none`: one of those acknowledgements is a fault of its client, and ends its connection.
 */
export type Extent = "full" | "end" | "open" | "ids" | "none"

export interface Comparison {
  readonly extent: Extent
  /** What differs and must not. */
  readonly differs: string | undefined
  /** The servers go on alike. */
  readonly isSame: boolean
}

/** Of a client that acknowledges a message otherwise than its QoS asks for. */
const ofAck = /PUB(ACK|REC|COMP) for a message of QoS/

const textOf = (deliveries: ReadonlyArray<Delivery>): string =>
  deliveries
    .map(({ text }) => text)
    .toSorted()
    .join("\n")

/** Each of them is there, as often as it is here. */
const areAmong = (some: ReadonlyArray<Delivery>, all: ReadonlyArray<Delivery>): boolean => {
  const left = new Map<string, number>()
  for (const { text } of all) left.set(text, (left.get(text) ?? 0) + 1)
  for (const { text } of some) {
    const count = left.get(text) ?? 0
    if (count === 0) return false
    left.set(text, count - 1)
  }
  return true
}

type Part = "answers" | "releases" | "refusals" | "left" | "sessionBytes" | "waiting" | "withIds"

/** `waited` is the fate of the client that waits for everything behind each packet and before it ends. */
export const compared = (fates: ReadonlyArray<Fate>, waited: Fate, acknowledges: boolean): Comparison => {
  const isSame = (part: Part): boolean => fates.every((fate) => fate[part] === waited[part])
  const hasOtherIds = acknowledges && !isSame("withIds")
  if (hasOtherIds && fates.some(({ refusals }) => ofAck.test(refusals))) {
    return { extent: "none", differs: undefined, isSame: false }
  }
  const hasEnded = fates.some((fate) => fate.hasEnded)
  const isFull = hasOtherIds || fates.some((fate) => fate.isFull)
  const shared = [...new Set(fates.flatMap((fate) => [...fate.shared]))]
  /** Whether the client gets it follows from what it has said. */
  const isBound = ({ topic, wantsAck }: Delivery): boolean =>
    !(isFull && wantsAck) && !shared.some((filter) => matches(filter, topic))
  const all = waited.deliveries.filter(isBound)
  /** Retained messages behind a full window are queued, or not read yet; what several share, one of them has. */
  const isOpen = isFull || shared.length > 0
  const hasBound = (fate: Fate): boolean => {
    const bound = fate.deliveries.filter(isBound)
    const tooLarge = isOpen ? waited.tooLarge : fate.tooLarge
    if (!areAmong(bound, all) || tooLarge > waited.tooLarge) return false
    return hasEnded || (bound.length === all.length && tooLarge === waited.tooLarge)
  }
  const delivered = ({ deliveries, tooLarge }: Fate): string => `${textOf(deliveries)}\n${tooLarge}`
  const areDelivered = fates.every((fate) => delivered(fate) === delivered(waited))
  const delivers = waited.deliveries.length > 0 || waited.tooLarge > 0
  const differs =
    (["answers", "refusals", "left"] as const).find((part) => !isSame(part)) ??
    (hasOtherIds || isSame("releases") ? undefined : "releases") ??
    (fates.every(hasBound) ? undefined : "deliveries") ??
    (!areDelivered || isOpen || isSame("sessionBytes") ? undefined : "sessionBytes")
  return {
    extent: hasOtherIds ? "ids" : isOpen ? "open" : hasEnded && delivers ? "end" : "full",
    differs,
    isSame: areDelivered && isSame("sessionBytes") && isSame("waiting") && !hasOtherIds
  }
}
