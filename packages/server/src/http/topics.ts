import * as Effect from "effect/Effect"
import { matches } from "@logbrook/core/TopicFilter"
import type { Broker } from "../Broker.ts"
import type { MqttBroker } from "../mqtt/MqttBroker.ts"
import { pageOf } from "./paging.ts"
import { checkedFilter, retainedTopics, type RetainedQuery } from "./retained.ts"

/** So many of the topics whose messages went nowhere are told. */
export const unmatchedShown = 100

/**
 * The topics that the server knows without reading any record: those with a retained message, the most frequent whose messages
 * went nowhere, and the filters that streams are bound to.
 */
export const listTopics = (broker: Broker, { retained, unmatched }: MqttBroker, query: RetainedQuery) =>
  Effect.map(checkedFilter(broker, query.filter), (filter) => {
    const { directory, clock } = broker
    const isWanted = (topic: string): boolean => matches(filter, topic)
    const counts = new Map(unmatched.top(unmatchedShown).map(({ topic, count }) => [topic, count]))
    const boundBy = new Map<string, Array<string>>()
    for (const { name, filters } of directory.all().values()) {
      for (const each of filters) boundBy.set(each, [...(boundBy.get(each) ?? []), name])
    }
    const names = new Set([
      ...retainedTopics(retained, filter),
      ...[...counts.keys()].filter(isWanted),
      ...[...boundBy.keys()].filter(isWanted)
    ])
    const nowMs = clock.nowMs()
    return pageOf(names, query, (topic) => ({
      topic,
      streams: (boundBy.get(topic) ?? directory.boundTo(topic).map(({ name }) => name)).toSorted(),
      retainedBytes: retained.get(topic, nowMs)?.payload.length ?? null,
      unmatched: counts.get(topic) ?? null
    }))
  })
