import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServer from "@effect/platform/HttpServer"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DenialReason } from "@logbrook/core/access/Access"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Broker } from "../Broker.ts"
import { diffStates, eventsFrom, JournalQueryRefused, lastEvents, showEvent, stateAt } from "../tools/journalTools.ts"
import type { EventFilter, Past } from "../tools/journalTools.ts"
import { parsePoint, pointHelp, type At } from "../tools/point.ts"
import type { TopTopics } from "../mqtt/TopTopics.ts"
import { version } from "../version.ts"
import { Api, type ApiError } from "./Api.ts"
import { ApiFailure } from "./ApiFailure.ts"
import type { ApiParts } from "./ApiParts.ts"
import { deniedOf, isAllowed, onCluster, onFilters, onGroup, onStream, type Need } from "./access.ts"
import { deleteGroup, getGroup, groupNames, groupSummary } from "./groups.ts"
import { alterStream, createStream, deleteStream, getStream, summaryOf } from "./streams.ts"

const pageSize = 100

const journalCodes: Readonly<Record<JournalQueryRefused["reason"], ApiError["code"]>> = {
  UnknownEvent: "UNKNOWN_EVENT",
  UnknownActor: "UNKNOWN_ACTOR",
  InvalidActor: "INVALID_ACTOR",
  InvalidType: "INVALID_TYPE",
  Expired: "EXPIRED"
}

const apiErrorOf = (error: unknown): ApiError => {
  if (error instanceof ApiFailure) return error.error
  if (error instanceof JournalQueryRefused) return new ApiFailure(journalCodes[error.reason], error.message).error
  throw error
}

const deniedCodes: Readonly<Record<DenialReason, ApiError["code"]>> = {
  ReservedTopicName: "INVALID_FILTER",
  SystemTopicName: "FORBIDDEN",
  BoundStream: "FORBIDDEN"
}

/** A handler as a plain function, behind what it needs; what it throws that is no refusal stays a defect. */
const handling =
  (broker: Broker) =>
  <A>(needs: ReadonlyArray<Need>, run: () => A | Promise<A>): Effect.Effect<A, ApiError> =>
    Effect.tryPromise({
      try: async () => {
        const denied = deniedOf(broker, needs)
        if (denied !== undefined) throw new ApiFailure(deniedCodes[denied.reason], denied.text)
        return run()
      },
      catch: (error) => error
    }).pipe(
      Effect.catchAll((error) =>
        Effect.flatMap(
          Effect.sync(() => apiErrorOf(error)),
          Effect.fail
        )
      )
    )

/** Names are the cursors: a page goes on behind one, whether or not it is still there. */
const pageOf = <A>(
  names: ReadonlyArray<string>,
  { cursor, limit = pageSize }: { readonly cursor?: string | undefined; readonly limit?: number | undefined },
  item: (name: string) => A
) => {
  const rest = cursor === undefined ? names : names.filter((name) => name > cursor)
  const shown = rest.slice(0, limit)
  const hasnext = rest.length > shown.length
  return { data: shown.map(item), meta: { cursor: hasnext ? shown.at(-1)! : null, hasnext } }
}

/** Throws `ApiFailure`. */
const pointOf = ({ clock }: Broker, text: string): At => {
  const at = parsePoint(text, clock.nowMs())
  if (at !== undefined) return at
  throw new ApiFailure("BAD_REQUEST", `"${text}" is neither a seq nor a time: ${pointHelp}`)
}

const lastOf = ({ journal }: Past): At => ({ seq: journal.nextSeq - 1 })

interface EventQuery extends EventFilter {
  readonly cursor?: Seq | undefined
  readonly last?: number | undefined
  readonly limit?: number | undefined
}

const pageOfEvents = (past: Past, { cursor, last, limit = pageSize, ...filter }: EventQuery) => {
  const page = last === undefined ? eventsFrom(past, cursor ?? 1, limit, filter) : lastEvents(past, last, filter)
  return { data: page.events, meta: { cursor: String(page.nextSeq), hasnext: page.hasNext } }
}

const clusterInfo = (broker: Broker, { journal }: Past, { sessions, retentionClock }: ApiParts) => {
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
    sessions: sessions(),
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
const streamNamesOf = (broker: Broker): ReadonlyArray<string> =>
  [...broker.directory.all().keys()].filter((name) => isAllowed(broker, onStream("Describe", name, broker))).sort()

const groupNamesOf = (broker: Broker): ReadonlyArray<string> =>
  groupNames(broker).filter((name) => isAllowed(broker, onGroup("Describe", name)))

const configOf = ({ config: { settings, sinceMs } }: ApiParts) => ({ since: new Date(sinceMs).toISOString(), settings })

const unmatchedShown = 100

const unmatchedTopics = (topics: TopTopics) => ({
  data: topics.top(unmatchedShown),
  meta: { cursor: null, hasnext: false },
  total: topics.total,
  countErrorMax: topics.countErrorMax
})

const layers = (broker: Broker, past: Past, parts: ApiParts) => {
  const handle = handling(broker)
  return [
    HttpApiBuilder.group(Api, "streams", (handlers) =>
      handlers
        .handle("list", ({ urlParams }) =>
          handle([], () =>
            pageOf(streamNamesOf(broker), urlParams, (name) => summaryOf(broker, broker.directory.byName(name)!))
          )
        )
        .handle("create", ({ payload }) =>
          handle([onStream("Create", payload.name, broker), ...onFilters(payload.filters)], () =>
            createStream(broker, payload)
          )
        )
        .handle("get", ({ path }) =>
          handle([onStream("Describe", path.name, broker)], () => getStream(broker, path.name))
        )
        .handle("alter", ({ path, payload }) =>
          handle([onStream("Alter", path.name, broker), ...onFilters(payload.filters ?? [])], () =>
            alterStream(broker, path.name, payload)
          )
        )
        .handle("delete", ({ path }) =>
          handle([onStream("Delete", path.name, broker)], () => deleteStream(broker, path.name))
        )
    ),
    HttpApiBuilder.group(Api, "groups", (handlers) =>
      handlers
        .handle("list", ({ urlParams }) =>
          handle([], () => pageOf(groupNamesOf(broker), urlParams, (name) => groupSummary(broker, name)))
        )
        .handle("get", ({ path }) => handle([onGroup("Describe", path.name)], () => getGroup(broker, path.name)))
        .handle("delete", ({ path }) => handle([onGroup("Delete", path.name)], () => deleteGroup(broker, path.name)))
    ),
    // The journal has everything: only who may do all that a node of the cluster does reads it.
    HttpApiBuilder.group(Api, "journal", (handlers) =>
      handlers
        .handle("events", ({ urlParams }) => handle([onCluster("ClusterAction")], () => pageOfEvents(past, urlParams)))
        .handle("show", ({ path }) => handle([onCluster("ClusterAction")], () => showEvent(past, path.seq)))
        .handle("state", ({ urlParams: { actor, at } }) =>
          handle([onCluster("ClusterAction")], () =>
            stateAt(past, actor, at === undefined ? lastOf(past) : pointOf(broker, at))
          )
        )
        .handle("diff", ({ urlParams: { actor, from, to } }) =>
          handle([onCluster("ClusterAction")], () =>
            diffStates(past, actor, pointOf(broker, from), pointOf(broker, to))
          )
        )
    ),
    HttpApiBuilder.group(Api, "cluster", (handlers) =>
      handlers
        .handle("info", () => handle([onCluster("Describe")], () => clusterInfo(broker, past, parts)))
        .handle("trustClock", () => handle([onCluster("Alter")], () => ({ wasHeld: parts.retentionClock.trust() })))
    ),
    HttpApiBuilder.group(Api, "config", (handlers) =>
      handlers.handle("show", () => handle([onCluster("DescribeConfigs")], () => configOf(parts)))
    ),
    HttpApiBuilder.group(Api, "mqtt", (handlers) =>
      handlers.handle("unmatched", () => handle([onCluster("Describe")], () => unmatchedTopics(parts.unmatched)))
    )
  ] as const
}

export interface ApiHandler {
  readonly handler: (request: Request) => Promise<Response>
  readonly dispose: () => Promise<void>
}

/** The API as a function over the web's own types, so that no server of another library is needed. */
export const makeApiHandler = (broker: Broker, past: Past, parts: ApiParts): ApiHandler => {
  const api = HttpApiBuilder.api(Api).pipe(Layer.provide(layers(broker, past, parts)))
  const { handler, dispose } = HttpApiBuilder.toWebHandler(Layer.merge(api, HttpServer.layerContext))
  return { handler: (request) => handler(request), dispose }
}

export const openApi = OpenApi.fromApi(Api)

const routes = Object.entries(openApi.paths).map(([template, methods]) => ({
  pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
  methods: Object.keys(methods).flatMap((method) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]))
}))

/** The methods that a path has; none where there is nothing. */
export const methodsAt = (pathname: string): ReadonlyArray<string> =>
  routes.find(({ pattern }) => pattern.test(pathname))?.methods ?? []
