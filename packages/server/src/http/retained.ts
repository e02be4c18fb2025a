import * as Effect from "effect/Effect"
import { retainedActor, type RetainedMessage } from "@logbrook/actors/retained/Retained"
import { InvalidTopicFilter, parseTopicFilter } from "@logbrook/core/TopicFilter"
import type { Broker } from "../Broker.ts"
import type { RetainedStore } from "../mqtt/RetainedStore.ts"
import { isoTime } from "../tools/plain.ts"
import { asked } from "./asked.ts"
import { pageOf, type PageQuery } from "./paging.ts"
import { EndpointRefused } from "./refusals.ts"

export interface RetainedQuery extends PageQuery {
  readonly filter: string
}

/** The filter, if it is one; the server's limits hold for it. */
export const checkedFilter = ({ limits }: Broker, filter: string): Effect.Effect<string, EndpointRefused> =>
  Effect.try({
    try: () => {
      parseTopicFilter(filter, limits)
      return filter
    },
    catch: (error) => {
      if (error instanceof InvalidTopicFilter)
        return new EndpointRefused({ code: "INVALID_FILTER", message: error.message })
      throw error
    }
  })

/** The topics that have a retained message, as the filter matches them. Some may have expired at this moment. */
export const retainedTopics = ({ index }: RetainedStore, filter: string): ReadonlyArray<string> => {
  const topics: Array<string> = []
  index.match(filter, ({ topic }) => void topics.push(topic))
  return topics
}

const summaryOf = (topic: string, { payload, qos, clientId, timestampMs, expiryAtMs }: RetainedMessage) => ({
  topic,
  bytes: payload.length,
  qos,
  clientId,
  receivedAt: isoTime(timestampMs),
  expiresAt: expiryAtMs === null ? null : isoTime(expiryAtMs)
})

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

const detailsOf = (topic: string, message: RetainedMessage) => ({
  ...summaryOf(topic, message),
  contentType: message.contentType,
  responseTopic: message.responseTopic,
  correlationData: message.correlationData && base64(message.correlationData),
  payloadFormat: message.payloadFormat,
  userProperties: message.userProperties,
  payload: base64(message.payload)
})

export const listRetained = (broker: Broker, store: RetainedStore, query: RetainedQuery) =>
  Effect.map(checkedFilter(broker, query.filter), (filter) => {
    const nowMs = broker.clock.nowMs()
    return pageOf(retainedTopics(store, filter), query, (topic) => {
      const message = store.get(topic, nowMs)
      return message && summaryOf(topic, message)
    })
  })

export const getRetained = (broker: Broker, store: RetainedStore, topic: string) =>
  Effect.suspend(() => {
    const message = store.get(topic, broker.clock.nowMs())
    if (message !== undefined) return Effect.succeed(detailsOf(topic, message))
    return new EndpointRefused({ code: "UNKNOWN_RETAINED", message: `no message is retained on "${topic}"` })
  })

/** Removes a page of the messages that the filter matches, each at most once from the first page to the last. */
export const purgeRetained = (broker: Broker, store: RetainedStore, query: RetainedQuery) =>
  Effect.gen(function* () {
    const filter = yield* checkedFilter(broker, query.filter)
    const { data, meta } = pageOf(retainedTopics(store, filter), query, (topic) => topic)
    const remove = (topic: string) =>
      asked(
        broker,
        retainedActor(topic),
        { _tag: "SetRetained", message: null },
        "http DELETE /retained",
        "a retained message cannot be removed now: try again"
      )
    // Asked at once, so that they share a commit. A removal needs no room, so that it is never refused.
    yield* Effect.forEach(data, remove, { concurrency: "unbounded", discard: true }).pipe(
      Effect.catchTag("RetainedRefused", (refused) => Effect.die(refused))
    )
    return { purged: data.length, meta }
  })
