import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServer from "@effect/platform/HttpServer"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { JournalError } from "@logbrook/core/journal/JournalError"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Broker } from "../Broker.ts"
import { defectText } from "../defectText.ts"
import { diffStates, eventsFrom, lastEvents, showEvent, stateAt } from "../tools/journalTools.ts"
import type { EventFilter, Past } from "../tools/journalTools.ts"
import { parsePoint, pointHelp, type At } from "../tools/point.ts"
import type { TopTopics } from "../mqtt/TopTopics.ts"
import { version } from "../version.ts"
import { listTopics, unmatchedShown } from "./topics.ts"
import { Api, type ApiError } from "./Api.ts"
import { type Asking, Caller } from "./Caller.ts"
import type { ApiParts } from "./ApiParts.ts"
import {
  deniedOf,
  isAllowed,
  onCluster,
  onFilters,
  onGroup,
  onTransactionalId,
  onStream,
  onTopicName,
  type Need
} from "./access.ts"
import { deleteGroup, getGroup, groupNamed, groupNames, groupSummary } from "./groups.ts"
import { abortTransaction, getTransaction, transactionalIds, transactionSummary } from "./transactions.ts"
import { pageOf } from "./paging.ts"
import { endpointDenied, type EndpointFailure, EndpointRefused, refusalOf } from "./refusals.ts"
import { resetGroupOffsets, resetNeeds } from "./resetOffsets.ts"
import { getRetained, listRetained, purgeRetained } from "./retained.ts"
import { getSession, kickSession, listSessions } from "./sessions.ts"
import { deleteStreamShare, getStreamShare, listStreamShares } from "./streamShares.ts"
import { alterStream, createStream, deleteStream, getStream, summaryOf } from "./streams.ts"

/** An endpoint, behind what it needs. A journal that cannot be read is a defect here. */
const endpoint =
  (broker: Broker) =>
  <A>(
    needs: ReadonlyArray<Need>,
    answer: Effect.Effect<A, EndpointFailure | JournalError>
  ): Effect.Effect<A, ApiError> =>
    Effect.flatMap(Caller, ({ principal }) => {
      const denied = deniedOf(broker, principal, needs)
      return denied === undefined ? answer : endpointDenied(denied)
    }).pipe(
      Effect.catchTag("JournalError", (error) => Effect.die(error)),
      Effect.tapDefect((cause) =>
        Effect.sync(() => broker.log.error("an HTTP request failed", { error: defectText(Cause.squash(cause)) }))
      ),
      Effect.mapError((failure) => refusalOf(failure) as ApiError)
    )

const pointOf = ({ clock }: Broker, text: string): Effect.Effect<At, EndpointRefused> => {
  const at = parsePoint(text, clock.nowMs())
  if (at !== undefined) return Effect.succeed(at)
  const message = `"${text}" is neither a seq nor a time: ${pointHelp}`
  return new EndpointRefused({ code: "BAD_REQUEST", message })
}

/** The events of a page, unless told otherwise. */
const eventsShown = 100

const lastOf = ({ journal }: Past): At => ({ seq: journal.nextSeq - 1 })

interface EventQuery extends EventFilter {
  readonly cursor?: Seq | undefined
  readonly last?: number | undefined
  readonly limit?: number | undefined
}

const pageOfEvents = (past: Past, { cursor, last, limit = eventsShown, ...filter }: EventQuery) =>
  Effect.map(
    last === undefined ? eventsFrom(past, cursor ?? 1, limit, filter) : lastEvents(past, last, filter),
    ({ events, nextSeq, hasNext }) => ({ data: events, meta: { cursor: String(nextSeq), hasnext: hasNext } })
  )

const shownState = (broker: Broker, past: Past, actor: string, at: string | undefined) =>
  Effect.flatMap(at === undefined ? Effect.sync(() => lastOf(past)) : pointOf(broker, at), (point) =>
    stateAt(past, actor, point)
  )

const shownDiff = (broker: Broker, past: Past, actor: string, from: string, to: string) =>
  Effect.gen(function* () {
    return yield* diffStates(past, actor, yield* pointOf(broker, from), yield* pointOf(broker, to))
  })

const clusterInfo = (broker: Broker, { journal }: Past, { mqtt, retentionClock }: ApiParts) => {
  const { isHeld, aheadMs } = retentionClock
  const { shards, directory, disk, clusterId, nodeId } = broker
  const segments = journal.segments()
  return {
    clusterId,
    nodeId,
    version,
    node: process.version,
    epoch: shards.epoch,
    streams: directory.all().size,
    groups: groupNames(broker).length,
    sessions: mqtt.directory.size,
    journal: {
      firstSeq: journal.firstSeq,
      nextSeq: journal.nextSeq,
      segments: segments.length,
      bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0)
    },
    disk: { freeBytes: disk.freeBytes, totalBytes: disk.totalBytes, isLow: disk.isLow },
    retentionClock: { isHeld, aheadMs: Math.max(0, Math.round(aheadMs)) }
  }
}

/** Those that whoever asks may know of. */
const streamNamesOf = (broker: Broker, { principal }: Asking): ReadonlyArray<string> =>
  [...broker.directory.all().keys()].filter((name) => isAllowed(broker, principal, onStream("Describe", name, broker)))

const groupNamesOf = (broker: Broker, { principal }: Asking): ReadonlyArray<string> =>
  groupNames(broker).filter((name) => isAllowed(broker, principal, onGroup("Describe", name)))

const configOf = ({ config: { settings, sinceMs } }: ApiParts) => ({ since: new Date(sinceMs).toISOString(), settings })

const unmatchedTopics = (topics: TopTopics) => ({
  data: topics.top(unmatchedShown),
  meta: { cursor: null, hasnext: false },
  total: topics.total,
  countErrorMax: topics.countErrorMax
})

const streams = (broker: Broker) => {
  const behind = endpoint(broker)
  const summary = (name: string) => summaryOf(broker, broker.directory.byName(name)!)
  return HttpApiBuilder.group(Api, "streams", (handlers) =>
    handlers
      .handle("list", ({ urlParams }) =>
        behind(
          [],
          Effect.map(Caller, (caller) => pageOf(streamNamesOf(broker, caller), urlParams, summary))
        )
      )
      .handle("create", ({ payload }) =>
        behind([onStream("Create", payload.name, broker), ...onFilters(payload.filters)], createStream(broker, payload))
      )
      .handle("get", ({ path }) => behind([onStream("Describe", path.name, broker)], getStream(broker, path.name)))
      .handle("alter", ({ path, payload }) =>
        behind(
          [onStream("Alter", path.name, broker), ...onFilters(payload.filters ?? [])],
          alterStream(broker, path.name, payload)
        )
      )
      .handle("delete", ({ path }) => behind([onStream("Delete", path.name, broker)], deleteStream(broker, path.name)))
  )
}

const groups = (broker: Broker) => {
  const behind = endpoint(broker)
  const summary = (name: string) => groupSummary(broker, groupNamed(broker, name)!)
  return HttpApiBuilder.group(Api, "groups", (handlers) =>
    handlers
      .handle("list", ({ urlParams }) =>
        behind(
          [],
          Effect.map(Caller, (caller) => pageOf(groupNamesOf(broker, caller), urlParams, summary))
        )
      )
      .handle("get", ({ path }) => behind([onGroup("Describe", path.name)], getGroup(broker, path.name)))
      .handle("delete", ({ path }) => behind([onGroup("Delete", path.name)], deleteGroup(broker, path.name)))
      .handle("resetOffsets", ({ path, payload }) =>
        behind(resetNeeds(broker, path.name, payload), resetGroupOffsets(broker, path.name, payload))
      )
  )
}

const transactions = (broker: Broker) => {
  const behind = endpoint(broker)
  const known = ({ principal }: Asking): ReadonlyArray<string> =>
    transactionalIds(broker).filter((name) => isAllowed(broker, principal, onTransactionalId("Describe", name)))
  return HttpApiBuilder.group(Api, "transactions", (handlers) =>
    handlers
      .handle("list", ({ urlParams }) =>
        behind(
          [],
          Effect.map(Caller, (caller) => pageOf(known(caller), urlParams, (name) => transactionSummary(broker, name)))
        )
      )
      .handle("get", ({ path }) =>
        behind([onTransactionalId("Describe", path.name)], getTransaction(broker, path.name))
      )
      .handle("abort", ({ path }) =>
        behind([onTransactionalId("Write", path.name)], abortTransaction(broker, path.name))
      )
  )
}

const sessions = (broker: Broker, { mqtt }: ApiParts) => {
  const behind = endpoint(broker)
  return HttpApiBuilder.group(Api, "sessions", (handlers) =>
    handlers
      .handle("list", ({ urlParams }) =>
        behind(
          [onCluster("Describe")],
          Effect.sync(() => listSessions(mqtt, urlParams))
        )
      )
      .handle("get", ({ path }) => behind([onCluster("Describe")], getSession(mqtt, path.name)))
      .handle("forget", ({ path }) => behind([onCluster("Alter")], kickSession(broker, mqtt, path.name, true)))
      .handle("kick", ({ path }) => behind([onCluster("Alter")], kickSession(broker, mqtt, path.name, false)))
  )
}

const streamShares = (broker: Broker, { mqtt }: ApiParts) => {
  const behind = endpoint(broker)
  return HttpApiBuilder.group(Api, "streamShares", (handlers) =>
    handlers
      .handle("list", ({ urlParams }) =>
        behind(
          [onCluster("Describe")],
          Effect.sync(() => listStreamShares(broker, mqtt, urlParams))
        )
      )
      .handle("get", ({ path }) => behind([onCluster("Describe")], getStreamShare(broker, mqtt, path.name)))
      .handle("delete", ({ path }) => behind([onCluster("Alter")], deleteStreamShare(broker, mqtt, path.name)))
  )
}

/** Messages are read and removed as by a client that subscribes to the filter, or publishes to what it matches. */
const retained = (broker: Broker, { mqtt }: ApiParts) => {
  const behind = endpoint(broker)
  const store = mqtt.retained
  return HttpApiBuilder.group(Api, "retained", (handlers) =>
    handlers
      .handle("list", ({ urlParams }) =>
        behind([onTopicName("Read", urlParams.filter)], listRetained(broker, store, urlParams))
      )
      .handle("get", ({ path }) => behind([onTopicName("Read", path.name)], getRetained(broker, store, path.name)))
      .handle("purge", ({ urlParams }) =>
        behind([onTopicName("Write", urlParams.filter)], purgeRetained(broker, store, urlParams))
      )
  )
}

const topics = (broker: Broker, { mqtt }: ApiParts) => {
  const behind = endpoint(broker)
  return HttpApiBuilder.group(Api, "topics", (handlers) =>
    handlers.handle("list", ({ urlParams }) => behind([onCluster("Describe")], listTopics(broker, mqtt, urlParams)))
  )
}

/** The journal has everything: only who may do all that a node of the cluster does reads it. */
const journal = (broker: Broker, past: Past) => {
  const behind = endpoint(broker)
  return HttpApiBuilder.group(Api, "journal", (handlers) =>
    handlers
      .handle("events", ({ urlParams }) => behind([onCluster("ClusterAction")], pageOfEvents(past, urlParams)))
      .handle("show", ({ path }) => behind([onCluster("ClusterAction")], showEvent(past, path.seq)))
      .handle("state", ({ urlParams: { actor, at } }) =>
        behind([onCluster("ClusterAction")], shownState(broker, past, actor, at))
      )
      .handle("diff", ({ urlParams: { actor, from, to } }) =>
        behind([onCluster("ClusterAction")], shownDiff(broker, past, actor, from, to))
      )
  )
}

/** The server itself: what it is, how it is set, and what came to it. */
const server = (broker: Broker, past: Past, parts: ApiParts) => {
  const behind = endpoint(broker)
  const info = Effect.sync(() => clusterInfo(broker, past, parts))
  const trustClock = Effect.sync(() => ({ wasHeld: parts.retentionClock.trust() }))
  const config = Effect.sync(() => configOf(parts))
  const unmatched = Effect.sync(() => unmatchedTopics(parts.mqtt.unmatched))
  return [
    HttpApiBuilder.group(Api, "cluster", (handlers) =>
      handlers
        .handle("info", () => behind([onCluster("Describe")], info))
        .handle("trustClock", () => behind([onCluster("Alter")], trustClock))
    ),
    HttpApiBuilder.group(Api, "config", (handlers) =>
      handlers.handle("show", () => behind([onCluster("DescribeConfigs")], config))
    ),
    HttpApiBuilder.group(Api, "mqtt", (handlers) =>
      handlers.handle("unmatched", () => behind([onCluster("Describe")], unmatched))
    )
  ] as const
}

export interface ApiHandler {
  readonly handler: (request: Request, caller: Asking) => Promise<Response>
  readonly dispose: () => Promise<void>
}

/** The API as a function over the web's own types, so that no server of another library is needed. */
export const makeApiHandler = (broker: Broker, past: Past, parts: ApiParts): ApiHandler => {
  const api = HttpApiBuilder.api(Api).pipe(
    Layer.provide([
      streams(broker),
      groups(broker),
      transactions(broker),
      sessions(broker, parts),
      streamShares(broker, parts),
      retained(broker, parts),
      topics(broker, parts),
      journal(broker, past),
      ...server(broker, past, parts)
    ])
  )
  const { handler, dispose } = HttpApiBuilder.toWebHandler(Layer.merge(api, HttpServer.layerContext))
  return {
    // A reference has a value where nobody gives one, so the library's type asks for none.
    handler: (request, caller) => handler(request, Context.make(Caller, caller) as Context.Context<never>),
    dispose
  }
}

export const openApi = OpenApi.fromApi(Api)

const routes = Object.entries(openApi.paths).map(([template, methods]) => ({
  pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
  methods: Object.keys(methods).flatMap((method) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]))
}))

/** The methods that a path has; none where there is nothing. */
export const methodsAt = (pathname: string): ReadonlyArray<string> =>
  routes.find(({ pattern }) => pattern.test(pathname))?.methods ?? []
