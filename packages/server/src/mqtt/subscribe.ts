import * as Exit from "effect/Exit"
import type { Subscription, SubscriptionsEnded, SubscriptionsMade } from "@logbrook/actors/session/SessionProtocol"
import { encodeSuback, encodeUnsuback } from "@logbrook/protocols/mqtt/encode"
import type { Subscribe, Unsubscribe } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"
import type { Client } from "./Client.ts"
import type { RetainedFeed } from "./RetainedFeed.ts"

interface SubscribingClient extends Client {
  readonly feed: RetainedFeed
}

const reservedFilter = /^\$(?:stream|queue)(?:\/|$)/

const isReserved = (filter: string): boolean => reservedFilter.test(parseSharedFilter(filter)?.filter ?? filter)

/** [MQTT-3.8.4-1] The SUBACK follows the commit; what is retained follows the SUBACK. */
export const subscribe = (connection: SubscribingClient, packet: Subscribe): void => {
  const subscriptionId = packet.properties.subscriptionIdentifier ?? null
  const wanted = packet.subscriptions.map((subscription): Subscription => ({ ...subscription, subscriptionId }))
  const subscriptions = wanted.filter(({ filter }) => !isReserved(filter))
  const command = { _tag: "Subscribe", connectionId: connection.id, subscriptions } as const
  connection.ask("SUBSCRIBE", command, (exit) => {
    if (Exit.isFailure(exit)) {
      connection.lost("its session does not take subscriptions")
      return
    }
    const { results } = exit.value as SubscriptionsMade
    acknowledge(connection, packet, wanted, results)
  })
}

const acknowledge = (
  connection: SubscribingClient,
  { packetId, refusedFilters }: Subscribe,
  wanted: ReadonlyArray<Subscription>,
  results: SubscriptionsMade["results"]
): void => {
  let next = 0
  const granted = wanted.map((subscription) => (isReserved(subscription.filter) ? undefined : results[next++]))
  const codes: Array<number> = granted.map((result) =>
    result === undefined ? ReasonCode.TopicFilterInvalid : (result.grantedQos ?? ReasonCode.QuotaExceeded)
  )
  for (let i = 0; i < refusedFilters; i++) codes.push(ReasonCode.QuotaExceeded)
  const reasonString = granted.includes(undefined)
    ? "streams cannot be read by MQTT in this version"
    : codes.includes(ReasonCode.QuotaExceeded)
      ? "the session has as many subscriptions as it may have, or there is no memory for more"
      : undefined
  const properties = reasonString === undefined || !connection.wantsProblems ? {} : { reasonString }
  const suback = encodeSuback(connection.version, packetId, codes, properties, connection.packetSizeMax)
  if (!connection.answer(suback)) return
  wanted.forEach((subscription, i) => {
    const result = granted[i]
    if (result === undefined || result.grantedQos === null || parseSharedFilter(subscription.filter)) return
    if (subscription.retainHandling === 0 || (subscription.retainHandling === 1 && result.isNew)) {
      connection.feed.add(subscription)
    }
  })
}

/** The UNSUBACK follows the commit. */
export const unsubscribe = (connection: SubscribingClient, packet: Unsubscribe): void => {
  const { packetId, filters, refusedFilters } = packet
  connection.ask("UNSUBSCRIBE", { _tag: "Unsubscribe", connectionId: connection.id, filters }, (exit) => {
    if (Exit.isFailure(exit)) {
      connection.lost("its session does not take subscriptions")
      return
    }
    const { results } = exit.value as SubscriptionsEnded
    for (const filter of filters) connection.feed.remove(filter)
    const codes: Array<number> = results.map(({ existed }) =>
      existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted
    )
    for (let i = 0; i < refusedFilters; i++) codes.push(ReasonCode.ImplementationSpecificError)
    connection.answer(encodeUnsuback(connection.version, packetId, codes))
  })
}
