import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import type { StreamReading, Subscription } from "@logbrook/actors/session/SessionProtocol"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { UserProperties } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Broker } from "../../Broker.ts"
import type { Client } from "../Client.ts"
import { type PartitionLog, partitionLogOf } from "./PartitionLog.ts"
import { readerWeight } from "./StreamReader.ts"
import { placeOf, placeOfNone } from "./streamPlace.ts"
import { StreamRefused } from "./StreamRefused.ts"
import { parseStreamRequest, type StreamRequest } from "./StreamRequest.ts"

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
}

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

/** Where the subscription is to read, as the stream is at this moment; or why it is not granted. */
export const wantStream = (
  { mqtt: { broker }, principal, admission }: Client,
  subscription: Subscription,
  userProperties: UserProperties | undefined
): FilterWanted | FilterRefusal => {
  try {
    const request = parseStreamRequest(subscription.filter, userProperties, broker.clock.nowMs())
    const { filter, stream: name, resets } = request
    const stream = broker.directory.byName(name)
    const resource = { type: "Topic", name, isBound: stream !== undefined && isBound(stream) } as const
    const denial = broker.authorizer.authorize(principal, "Read", resource)
    if (denial !== undefined) return { code: ReasonCode.NotAuthorized, text: denial.text }
    if (!admission.hasRoom("transit", readerWeight(stream?.logIds.length ?? 0))) return withoutMemory
    return { subscription: { ...subscription, filter, stream: readingOf(broker, request, stream) }, resets }
  } catch (error) {
    if (error instanceof StreamRefused) return { code: ReasonCode.TopicFilterInvalid, text: error.message }
    if (!(error instanceof JournalError)) throw error
    broker.log.error("mqtt: a stream cannot be read", { filter: subscription.filter, error: error.message })
    return { code: ReasonCode.UnspecifiedError, text: "the stream cannot be read" }
  }
}
