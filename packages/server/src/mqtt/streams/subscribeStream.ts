import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { sessionActor, type StreamReading, type Subscription } from "@logbrook/actors/session/SessionProtocol"
import { streamShareActor, StreamShareRefused } from "@logbrook/actors/streamShare/StreamShareProtocol"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { UserProperties } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Broker } from "../../Broker.ts"
import type { Client } from "../Client.ts"
import { type PartitionLog, partitionLogOf } from "./PartitionLog.ts"
import { readerWeight } from "./StreamReader.ts"
import { placeOf, placeOfNone } from "./streamPlace.ts"
import { StreamRefused } from "./StreamRefused.ts"
import { isSharedStreamFilter, parseStreamRequest, type StreamRequest } from "./StreamRequest.ts"

/** A filter of SUBSCRIBE that is not granted, and why. */
export interface FilterRefusal {
  readonly code: number
  readonly text: string
}

/** A filter of SUBSCRIBE that may be granted. */
export interface FilterWanted {
  readonly subscription: Subscription
  /** A subscription of a stream begins anew. */
  readonly resets: boolean
  /** Where the group of `$share/GROUP/$stream/…` is to read, if this is its first member. */
  readonly share?: StreamReading
}

/** Whether the session's connection has to read a stream for it, or to be a member of those that do. */
export const readsStream = ({ filter, stream }: Subscription): boolean =>
  stream !== undefined || isSharedStreamFilter(filter)

export const isRefusal = (wanted: FilterWanted | FilterRefusal): wanted is FilterRefusal => "code" in wanted

/** The logs of a stream's partitions. */
export const logsOf = ({ shards }: Broker, { logIds }: Stream): ReadonlyArray<PartitionLog> =>
  logIds.map((logId) => partitionLogOf(shards.logsOf(logId), logId))

const readingOf = (broker: Broker, request: StreamRequest, stream: Stream | undefined): StreamReading => {
  if (stream === undefined) return placeOfNone(request)
  const filters = effectiveConfig(stream.config).mqttHeaders ? stream.filters : []
  return placeOf(request, stream.topicId, filters, logsOf(broker, stream))
}

/** Streams that one SUBSCRIBE may name: looking for a time takes some 0.1 ms for each of their partitions. */
export const streamsPerPacketMax = 64
/** A stream's part of a turn of the event loop, in ordinary filters, see `MqttBroker.filters`. */
export const filtersPerStream = 16

export const tooManyStreams: FilterRefusal = {
  code: ReasonCode.QuotaExceeded,
  text: `one SUBSCRIBE may name ${streamsPerPacketMax} streams`
}

const withoutMemory: FilterRefusal = { code: ReasonCode.QuotaExceeded, text: "there is no memory for a reader more" }

const otherShard: FilterRefusal = {
  code: ReasonCode.ImplementationSpecificError,
  text: "the session and the shared subscription are in different shards"
}

/** The group's actor does not answer. */
const withoutShare: FilterRefusal = {
  code: ReasonCode.UnspecifiedError,
  text: "the shared subscription cannot be used"
}

/** Why a group is not there that was to be opened: it alone knows whether it needs memory, and whether there is any. */
export const refusalOfShare = (cause: Cause.Cause<unknown>): FilterRefusal =>
  Option.getOrUndefined(Cause.failureOption(cause)) instanceof StreamShareRefused ? withoutMemory : withoutShare

const wantShare = (
  { mqtt, clientId }: Client,
  subscription: Subscription,
  resets: boolean,
  share: StreamReading
): FilterWanted | FilterRefusal => {
  const { shards } = mqtt.broker
  // A record goes into the session's queue in the commit in which the group's position moves.
  const isNear = shards.of(sessionActor(clientId)) === shards.of(streamShareActor(subscription.filter))
  return isNear ? { subscription, resets, share } : otherShard
}

/** Where the subscription, or its group, is to read, as the stream is at this moment; or why it is not granted. */
export const wantStream = (
  client: Client,
  subscription: Subscription,
  userProperties: UserProperties | undefined
): FilterWanted | FilterRefusal => {
  const { principal, admission } = client
  const { broker } = client.mqtt
  try {
    const request = parseStreamRequest(subscription.filter, userProperties, broker.clock.nowMs())
    const { filter, stream: name, resets } = request
    const stream = broker.directory.byName(name)
    const resource = { type: "Topic", name, isBound: stream !== undefined && isBound(stream) } as const
    const denial = broker.authorizer.authorize(principal, "Read", resource)
    if (denial !== undefined) return { code: ReasonCode.NotAuthorized, text: denial.text }
    if (!admission.hasRoom("transit", readerWeight(stream?.logIds.length ?? 0))) return withoutMemory
    const reading = readingOf(broker, request, stream)
    if (isSharedStreamFilter(filter)) return wantShare(client, { ...subscription, filter }, resets, reading)
    return { subscription: { ...subscription, filter, stream: reading }, resets }
  } catch (error) {
    if (error instanceof StreamRefused) return { code: ReasonCode.TopicFilterInvalid, text: error.message }
    if (!(error instanceof JournalError)) throw error
    broker.log.error("mqtt: a stream cannot be read", { filter: subscription.filter, error: error.message })
    return { code: ReasonCode.UnspecifiedError, text: "the stream cannot be read" }
  }
}
