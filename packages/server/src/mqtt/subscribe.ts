import * as Exit from "effect/Exit"
import type {
  QoS,
  Subscribe as SubscribeSession,
  Subscription,
  SubscriptionsMade,
  Unsubscribe as UnsubscribeSession
} from "@logbrook/actors/session/SessionProtocol"
import type { DenialReason } from "@logbrook/core/access/Access"
import { encodeSuback, encodeUnsuback } from "@logbrook/protocols/mqtt/encode"
import type { Subscribe, Unsubscribe } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"
import type { AskWatch, Client } from "./Client.ts"
import type { RetainedFeed, RetainedMoment } from "./RetainedFeed.ts"
import type { StreamFeed } from "./streams/StreamFeed.ts"
import { isStreamFilter, subscriptionName } from "./streams/StreamRequest.ts"
import {
  filtersPerStream,
  type FilterRefusal,
  type FilterWanted,
  isRefusal,
  streamsPerPacketMax,
  tooManyStreams,
  wantStream
} from "./streams/subscribeStream.ts"

interface SubscribingClient extends Client {
  readonly isOpen: boolean
  /** Undefined: another connection has taken it over. */
  readonly session: object | undefined
  readonly feed: RetainedFeed
  readonly streams: StreamFeed
}

const serves = ({ isOpen, session }: SubscribingClient): boolean => isOpen && session !== undefined

const sharedStream: FilterRefusal = {
  code: ReasonCode.TopicFilterInvalid,
  text: "streams have no shared subscriptions yet"
}

/** Grants a filter of no stream, or says why not; of a shared subscription the client asks for the filter without its share. */
const wantTopics = (client: Client, subscription: Subscription): FilterWanted | FilterRefusal => {
  const { filter } = subscription
  const name = parseSharedFilter(filter)?.filter ?? filter
  if (isStreamFilter(name)) return sharedStream
  const { mqtt, principal } = client
  const denial = mqtt.broker.authorizer.authorize(principal, "Read", { type: "TopicName", name })
  if (denial !== undefined) return { code: deniedCodes[denial.reason], text: denial.text }
  return { subscription, resets: false }
}

/** Grants each filter, or says why not. */
const wantAll = (
  client: Client,
  { subscriptions, properties }: Subscribe
): ReadonlyArray<FilterWanted | FilterRefusal> => {
  const { subscriptionIdentifier: subscriptionId = null, userProperties } = properties
  let streams = 0
  const all = subscriptions.map((each) => {
    // Any QoS may be asked for [MQTT-3.2.2-10].
    const qos = Math.min(each.qos, client.mqtt.options.maximumQos) as QoS
    const subscription: Subscription = { ...each, qos, subscriptionId }
    if (!isStreamFilter(each.filter)) return wantTopics(client, subscription)
    return ++streams > streamsPerPacketMax ? tooManyStreams : wantStream(client, subscription, userProperties)
  })
  client.mqtt.filters.use(subscriptions.length + filtersPerStream * Math.min(streams, streamsPerPacketMax))
  return all
}

const deniedCodes: Readonly<Record<DenialReason, number>> = {
  ReservedTopicName: ReasonCode.TopicFilterInvalid,
  SystemTopicName: ReasonCode.NotAuthorized,
  BoundStream: ReasonCode.NotAuthorized
}

/**
 * Messages that are read behind the SUBSCRIBE are for it. [MQTT-3.8.4-1] The SUBACK follows the commit; what is retained, and
 * whatever was read behind the SUBSCRIBE, follows the SUBACK.
 */
export const subscribe = (connection: SubscribingClient, packet: Subscribe): void => {
  const { clientId, mqtt, id: connectionId } = connection
  const view = mqtt.directory.get(clientId)
  if (view === undefined) {
    connection.lost("its session is gone")
    return
  }
  const wanted = wantAll(connection, packet)
  const taken = wanted.filter((each): each is FilterWanted => !isRefusal(each))
  const subscriptions = taken.map(({ subscription }) => subscription)
  const filters = subscriptions.map(({ filter }) => filter)
  const resets = taken.filter((each) => each.resets).map(({ subscription }) => subscription.filter)
  const { retainAvailable } = mqtt.options
  const retainable = subscriptions.flatMap((each, i) => (retainAvailable && mayGetRetained(each) ? [i] : []))
  const { feed } = connection
  let moments: ReadonlyArray<RetainedMoment> = []
  const due = (results: SubscriptionsMade["results"]): ReadonlyArray<RetainedMoment> =>
    retainable.flatMap((at, i) => {
      const { grantedQos, isNew } = results[at]!
      return grantedQos !== null && (subscriptions[at]!.retainHandling === 0 || isNew) ? [moments[i]!] : []
    })
  const watch: AskWatch<SubscribeSession> = {
    decides: (nextSeq) => {
      const of = retainable.map((at) => subscriptions[at]!)
      feed.giveBack(moments)
      moments = feed.moments(of, nextSeq)
    },
    answered: (exit) => {
      feed.giveBack(moments)
      const results = Exit.isSuccess(exit) ? exit.value.results : []
      mqtt.directory.answered(view, filters, (at) => (results[at]?.grantedQos ?? null) === null)
      // The session's next connection goes on with them.
      if (Exit.isSuccess(exit) && !serves(connection)) {
        const left = due(results).map(({ subscription, beforeSeq, doneSeq }) => ({ subscription, beforeSeq, doneSeq }))
        view.retainedDue = [...view.retainedDue, ...left]
      }
    }
  }
  mqtt.directory.subscribes(view, subscriptions)
  connection.ask(
    "SUBSCRIBE",
    { _tag: "Subscribe", connectionId, subscriptions, ...(resets.length > 0 && { resets }) },
    (exit) => {
      if (Exit.isFailure(exit)) {
        connection.lost("its session does not take subscriptions")
        return
      }
      const { results } = exit.value
      let next = 0
      const granted = wanted.map((each) => (isRefusal(each) ? each : results[next++]!))
      if (acknowledge(connection, packet, granted) && serves(connection)) {
        for (const moment of due(results)) connection.feed.add(moment)
        addStreams(connection, taken, results)
      }
    },
    watch
  )
}

const addStreams = (
  { streams }: SubscribingClient,
  taken: ReadonlyArray<FilterWanted>,
  results: SubscriptionsMade["results"]
): void => {
  for (const [at, { subscription, resets }] of taken.entries()) {
    const { grantedQos, stream } = results[at]!
    if (grantedQos !== null && stream !== undefined) streams.add({ ...subscription, stream }, resets)
  }
}

const mayGetRetained = ({ filter, retainHandling, stream }: Subscription): boolean =>
  retainHandling < 2 && stream === undefined && parseSharedFilter(filter) === undefined

/** False: the client could not take it, and the connection has ended. */
const acknowledge = (
  connection: SubscribingClient,
  { packetId, refusedFilters }: Subscribe,
  granted: ReadonlyArray<SubscriptionsMade["results"][number] | FilterRefusal>
): boolean => {
  const codes: Array<number> = granted.map((result) =>
    "code" in result ? result.code : (result.grantedQos ?? ReasonCode.QuotaExceeded)
  )
  for (let i = 0; i < refusedFilters; i++) codes.push(ReasonCode.QuotaExceeded)
  const refusal = granted.find((result): result is FilterRefusal => "code" in result)
  const reasonString = refusal
    ? refusal.text
    : codes.includes(ReasonCode.QuotaExceeded)
      ? "the session has as many subscriptions as it may have, or there is no memory for more"
      : undefined
  const properties = reasonString === undefined || !connection.wantsProblems ? {} : { reasonString }
  return connection.answer(encodeSuback(connection.version, packetId, codes, properties, connection.packetSizeMax))
}

/** Messages that are read behind it are no longer matched with the filters. The UNSUBACK follows the commit. */
export const unsubscribe = (connection: SubscribingClient, packet: Unsubscribe): void => {
  const { packetId, refusedFilters } = packet
  const filters = packet.filters.map(subscriptionName)
  const { clientId, mqtt, id: connectionId } = connection
  const view = mqtt.directory.get(clientId)
  if (view === undefined) {
    connection.lost("its session is gone")
    return
  }
  const watch: AskWatch<UnsubscribeSession> = {
    answered: (exit) => mqtt.directory.answered(view, filters, () => Exit.isFailure(exit))
  }
  mqtt.directory.unsubscribes(view, filters)
  connection.ask(
    "UNSUBSCRIBE",
    { _tag: "Unsubscribe", connectionId, filters },
    (exit) => {
      if (Exit.isFailure(exit)) {
        connection.lost("its session does not take subscriptions")
        return
      }
      const { results } = exit.value
      for (const filter of filters) {
        connection.feed.remove(filter)
        if (isStreamFilter(filter)) connection.streams.remove(filter)
      }
      const codes: Array<number> = results.map(({ existed }) =>
        existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted
      )
      for (let i = 0; i < refusedFilters; i++) codes.push(ReasonCode.ImplementationSpecificError)
      connection.answer(encodeUnsuback(connection.version, packetId, codes))
    },
    watch
  )
}
