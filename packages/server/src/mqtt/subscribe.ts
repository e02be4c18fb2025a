import * as Exit from "effect/Exit"
import {
  sessionActor,
  type QoS,
  type SessionRefused,
  type Subscription,
  type SubscriptionsMade
} from "@logbrook/actors/session/SessionProtocol"
import {
  streamShareActor,
  type StreamShareDone,
  type StreamShareRefused
} from "@logbrook/actors/streamShare/StreamShareProtocol"
import type { DenialReason } from "@logbrook/core/access/Access"
import { answerOf, CommandList, type EntryIndex, type ListAnswer } from "@logbrook/core/shard/CommandList"
import { encodeSuback, encodeUnsuback } from "@logbrook/protocols/mqtt/encode"
import type { Subscribe, Unsubscribe } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"
import type { Client } from "./Client.ts"
import { codeText } from "./connectionEnd.ts"
import { isOutside, mountedFilter, outsideText } from "./MountPoint.ts"
import { stillTaken, type RetainedFeed, type RetainedMoment } from "./RetainedFeed.ts"
import type { StreamFeed } from "./streams/StreamFeed.ts"
import { isSharedStreamFilter, isStreamFilter, subscriptionName } from "./streams/StreamRequest.ts"
import {
  filtersPerStream,
  type FilterRefusal,
  type FilterWanted,
  isRefusal,
  readsStream,
  refusalOfShare,
  streamsPerPacketMax,
  tooManyStreams,
  wantStream
} from "./streams/subscribeStream.ts"

interface SubscribingClient extends Client {
  readonly isOpen: boolean
  readonly address: string
  /** Undefined: another connection has taken it over. */
  readonly session: object | undefined
  readonly feed: RetainedFeed
  readonly streams: StreamFeed
}

/** How the session has answered a filter, or why it was not asked. */
type FilterResult = SubscriptionsMade["results"][number] | FilterRefusal

const isGranted = (result: FilterResult): result is SubscriptionsMade["results"][number] =>
  "grantedQos" in result && result.grantedQos !== null

const serves = ({ isOpen, session }: SubscribingClient): boolean => isOpen && session !== undefined

/** The session has failed at it, perhaps behind others that it has taken: the connection ends without an answer, as it does where it takes none. */
const withoutSession: FilterRefusal = {
  code: ReasonCode.UnspecifiedError,
  text: "the session does not take subscriptions"
}

const outsideMount: FilterRefusal = { code: ReasonCode.NotAuthorized, text: outsideText }

/** Grants a filter of no stream, or says why not; of a shared subscription the client asks for the filter without its share. */
const wantTopics = (client: Client, subscription: Subscription): FilterWanted | FilterRefusal => {
  const { filter } = subscription
  const name = parseSharedFilter(filter)?.filter ?? filter
  const { mqtt, principal } = client
  const denial = mqtt.broker.authorizer.authorize(principal, "Read", { type: "TopicName", name })
  if (denial !== undefined) return { code: deniedCodes[denial.reason], text: denial.text }
  if (isOutside(client.mount.mountPoint, name)) return outsideMount
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
    const filter = mountedFilter(client.mount.mountPoint, each.filter)
    const subscription: Subscription = { ...each, filter, qos, subscriptionId }
    if (!isStreamFilter(each.filter) && !isSharedStreamFilter(each.filter)) return wantTopics(client, subscription)
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
  const { clientId, mqtt } = connection
  const view = mqtt.directory.get(clientId)
  if (view === undefined) {
    connection.lost("its session is gone")
    return
  }
  const wanted = wantAll(connection, packet)
  const asked = wanted.filter((each): each is FilterWanted => !isRefusal(each))
  const subscriptions = asked.map(({ subscription }) => subscription)
  const filters = subscriptions.map(({ filter }) => filter)
  const { retainAvailable } = mqtt.options
  const retainable = subscriptions.flatMap((each, i) => (retainAvailable && mayGetRetained(each) ? [i] : []))
  const list = new CommandList()
  const resultsOf = addSubscriptions(list, connection, asked)
  const { feed } = connection
  const taken = retainable.map((at) => feed.take(subscriptions[at]!, list))
  const due = (answer: ListAnswer, results: ReadonlyArray<FilterResult>): ReadonlyArray<RetainedMoment> =>
    retainable.flatMap((at, i) => {
      const result = results[at]!
      const subscription = subscriptions[at]!
      if (!isGranted(result) || (subscription.retainHandling > 0 && !result.isNew)) return []
      return [{ subscription, beforeSeq: answer.seq, doneSeq: -Infinity, taken: stillTaken(taken[i]!, answer) }]
    })
  const answered = (answer: ListAnswer): void => {
    for (const messages of taken) feed.giveBack(messages)
    const results = resultsOf(answer)
    mqtt.directory.answered(view, filters, (at) => results === undefined || !isGranted(results[at]!))
    for (const filter of filters) mqtt.streamShares.emptied(filter)
    if (results === undefined || serves(connection)) return
    // The session's next connection goes on with them.
    const left = due(answer, results).map(({ subscription, beforeSeq, doneSeq }) => ({
      subscription,
      beforeSeq,
      doneSeq
    }))
    view.retainedDue = [...view.retainedDue, ...left]
  }
  const reply = (answer: ListAnswer): void => {
    const results = resultsOf(answer)
    if (results === undefined || results.includes(withoutSession)) {
      connection.lost("its session does not take subscriptions")
      return
    }
    let next = 0
    const granted = wanted.map((each) => (isRefusal(each) ? each : results[next++]!))
    if (acknowledge(connection, packet, granted) && serves(connection)) {
      for (const moment of due(answer, results)) feed.add(moment)
      // A SUBSCRIBE or UNSUBSCRIBE that was read since has the last word, and its own answer.
      addStreams(connection, asked, results, (filter) => view.unanswered?.has(filter) !== true)
      mqtt.shared.came(view, filters)
    }
  }
  mqtt.directory.subscribes(view, subscriptions)
  stopReading(connection, resetsOf(asked))
  connection.askAll("SUBSCRIBE", list, reply, answered)
}

/** Those that begin anew, of the session's own readers. */
const resetsOf = (asked: ReadonlyArray<FilterWanted>): ReadonlyArray<string> =>
  asked.filter(({ resets, share }) => resets && share === undefined).map(({ subscription }) => subscription.filter)

/** A member of a group that reads a stream is to be: its subscription is made behind the group's `Open`. */
interface SharesStream {
  readonly opened: EntryIndex<StreamShareDone, StreamShareRefused>
  readonly made: EntryIndex<SubscriptionsMade, SessionRefused>
}

/**
 * Adds what makes the subscriptions: all in one command, but for each of a group that reads a stream, which is not made if there is no
 * memory for the group. Returns what tells how each of `asked` was answered; undefined: the session does not take subscriptions.
 */
const addSubscriptions = (
  list: CommandList,
  { clientId, id: connectionId }: SubscribingClient,
  asked: ReadonlyArray<FilterWanted>
): ((answer: ListAnswer) => ReadonlyArray<FilterResult> | undefined) => {
  const session = sessionActor(clientId)
  const own = asked.filter(({ share }) => share === undefined)
  const subscriptions = own.map(({ subscription }) => subscription)
  const resets = resetsOf(own)
  const made = list.add(session, {
    _tag: "Subscribe",
    connectionId,
    subscriptions,
    ...(resets.length > 0 && { resets })
  })
  const shares = asked.map(({ subscription, share: reading, resets }): SharesStream | undefined => {
    if (reading === undefined) return undefined
    const opened = list.add(streamShareActor(subscription.filter), { _tag: "Open", reading, resets })
    const command = { _tag: "Subscribe", connectionId, subscriptions: [subscription] } as const
    return { opened, made: list.add(session, command, [opened]) }
  })
  return (answer) => {
    const exit = answerOf(answer, made)
    if (Exit.isFailure(exit)) return undefined
    const results = exit.value.results.values()
    return shares.map((share) => (share === undefined ? results.next().value! : resultOfShare(answer, share)))
  }
}

const resultOfShare = (answer: ListAnswer, { opened, made }: SharesStream): FilterResult => {
  const open = answerOf(answer, opened)
  if (Exit.isFailure(open)) return refusalOfShare(open.cause)
  const member = answerOf(answer, made)
  return Exit.isSuccess(member) ? member.value.results[0]! : withoutSession
}

/**
 * The session's actor would take the positions of a reader that reads on until the answer for those of the subscription that is made
 * behind it.
 */
const stopReading = (connection: SubscribingClient, filters: ReadonlyArray<string>): void => {
  for (const filter of filters) connection.streams.remove(filter)
}

const addStreams = (
  connection: SubscribingClient,
  asked: ReadonlyArray<FilterWanted>,
  results: ReadonlyArray<FilterResult>,
  isLast: (filter: string) => boolean
): void => {
  for (const [at, { subscription, resets }] of asked.entries()) {
    const result = results[at]!
    if (!isGranted(result) || !isLast(subscription.filter)) continue
    const { stream } = result
    const granted = stream === undefined ? subscription : { ...subscription, stream }
    if (readsStream(granted)) connection.streams.add(granted, resets)
  }
}

const mayGetRetained = ({ filter, retainHandling, stream }: Subscription): boolean =>
  retainHandling < 2 && stream === undefined && parseSharedFilter(filter) === undefined

const tellRefusals = (
  { mqtt, clientId, address }: SubscribingClient,
  subscriptions: Subscribe["subscriptions"],
  granted: ReadonlyArray<FilterResult>
): void => {
  for (const [at, { filter }] of subscriptions.entries()) {
    const result = granted[at]!
    if (!("code" in result)) continue
    const fields = { client: clientId, address, filter, code: codeText(result.code), reason: result.text }
    mqtt.refusedFilters.write("mqtt: a subscription was refused", fields)
  }
}

/** False: the client could not take it, and the connection has ended. */
const acknowledge = (
  connection: SubscribingClient,
  { packetId, subscriptions, refusedFilters }: Subscribe,
  granted: ReadonlyArray<FilterResult>
): boolean => {
  const codes: Array<number> = granted.map((result) =>
    "code" in result ? result.code : (result.grantedQos ?? ReasonCode.QuotaExceeded)
  )
  for (let i = 0; i < refusedFilters; i++) codes.push(ReasonCode.QuotaExceeded)
  const refusal = granted.find((result): result is FilterRefusal => "code" in result)
  if (refusal !== undefined) tellRefusals(connection, subscriptions, granted)
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
  const { mountPoint } = connection.mount
  const filters = packet.filters.map((filter) => subscriptionName(mountedFilter(mountPoint, filter)))
  const { clientId, mqtt, id: connectionId } = connection
  const view = mqtt.directory.get(clientId)
  if (view === undefined) {
    connection.lost("its session is gone")
    return
  }
  mqtt.directory.unsubscribes(view, filters)
  stopReading(
    connection,
    filters.filter((filter) => isStreamFilter(filter) || isSharedStreamFilter(filter))
  )
  connection.ask(
    "UNSUBSCRIBE",
    { _tag: "Unsubscribe", connectionId, filters },
    (exit) => {
      if (Exit.isFailure(exit)) {
        connection.lost("its session does not take subscriptions")
        return
      }
      const { results } = exit.value
      for (const filter of filters) connection.feed.remove(filter)
      const codes: Array<number> = results.map(({ existed }) =>
        existed ? ReasonCode.Success : ReasonCode.NoSubscriptionExisted
      )
      for (let i = 0; i < refusedFilters; i++) codes.push(ReasonCode.ImplementationSpecificError)
      connection.answer(encodeUnsuback(connection.version, packetId, codes))
    },
    (exit) => mqtt.directory.answered(view, filters, () => Exit.isFailure(exit))
  )
}
