import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import type {
  CatalogCommand,
  CreateStream as CreateStreamCommand,
  Stream
} from "@logbrook/actors/catalog/CatalogProtocol"
import { catalogActor, type CatalogKind, isBound } from "@logbrook/actors/catalog/CatalogProtocol"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import type { ReplyOf } from "@logbrook/core/actor/Kind"
import type { Broker } from "../Broker.ts"
import type { AlterStream, CreateStream } from "./Api.ts"
import { asked } from "./asked.ts"
import { EndpointRefused } from "./refusals.ts"

/** Nothing is created while the disk is low. */
const withRoom = ({ disk }: Broker): Effect.Effect<void, EndpointRefused> => {
  if (!disk.isLow) return Effect.void
  const message =
    "the disk is nearly full: no stream or partition is created; reads, changes of retention and deletes are taken"
  return new EndpointRefused({ code: "DISK_LOW", message })
}

const askCatalog = <const C extends CatalogCommand>(broker: Broker, command: C, origin: string) =>
  asked(broker, catalogActor, command, origin, "the catalog cannot answer now")

/** The log of a partition that was never written to, or of a stream that was only validated. */
const emptyLog = { startOffset: 0, highWatermark: 0, byteLength: 0 }

export const summaryOf = ({ shards }: Broker, stream: Stream) => {
  const logs = stream.logIds.map((logId) => shards.logsOf(logId).find(logId) ?? emptyLog)
  return {
    name: stream.name,
    topicId: stream.topicId,
    kind: isBound(stream) ? ("bound" as const) : ("free" as const),
    filters: stream.filters,
    partitions: stream.logIds.length,
    // A free one's records have the keys that their producers give them, whatever its own says.
    key: isBound(stream) ? stream.key : "none",
    config: Object.fromEntries(stream.config),
    createdAt: new Date(stream.createdAtMs).toISOString(),
    records: logs.reduce((sum, { startOffset, highWatermark }) => sum + highWatermark - startOffset, 0),
    bytes: logs.reduce((sum, { byteLength }) => sum + byteLength, 0)
  }
}

const detailsOf = (broker: Broker, stream: Stream) => {
  const { isExpiring, retentionMs, retentionBytes } = effectiveConfig(stream.config)
  const partitionDetails = stream.logIds.map((logId, partition) => {
    const { startOffset, highWatermark, byteLength } = broker.shards.logsOf(logId).find(logId) ?? emptyLog
    return { partition, logId, startOffset, highWatermark, bytes: byteLength }
  })
  const retention = isExpiring ? { retentionMs, retentionBytes } : { retentionMs: -1, retentionBytes: -1 }
  return { ...summaryOf(broker, stream), ...retention, partitionDetails }
}

export const getStream = (broker: Broker, name: string) =>
  Effect.suspend(() => {
    const stream = broker.directory.byName(name)
    if (stream !== undefined) return Effect.succeed(detailsOf(broker, stream))
    return new EndpointRefused({ code: "UNKNOWN_STREAM", message: `no stream is named "${name}"` })
  })

/** A bound stream's records are keyed by client, or by topic if only a key's newest one counts; a free one's by its producers. */
const defaultKey = (filters: ReadonlyArray<string>, config: ReadonlyMap<string, string>): string => {
  if (filters.length === 0) return "none"
  return effectiveConfig(config).isCompacted ? "topic" : "clientid"
}

/** A message that two streams store is there twice: allowed, and rarely meant. Those that `known` were warned of before. */
const doubledFilters = (
  { directory }: Broker,
  { name, filters }: Stream,
  known: ReadonlyArray<string>
): ReadonlyArray<string> =>
  filters
    .filter((filter) => !known.includes(filter))
    .flatMap((filter) =>
      [...directory.all().values()]
        .filter((other) => other.name !== name && other.filters.includes(filter))
        .map(
          (other) => `the stream ${other.name} has the filter ${filter}, too: both store each message that matches it`
        )
    )

const changed = (
  broker: Broker,
  { stream }: ReplyOf<typeof CatalogKind, CreateStreamCommand>,
  filtersBefore: ReadonlyArray<string>,
  more: ReadonlyArray<string> = []
) => {
  const warnings = [...doubledFilters(broker, stream, filtersBefore), ...more]
  return { ...detailsOf(broker, stream), ...(warnings.length === 0 ? {} : { warnings }) }
}

export const createStream = (broker: Broker, payload: typeof CreateStream.Type) =>
  Effect.gen(function* () {
    yield* withRoom(broker)
    const { name, filters, partitions, key, config, validateOnly } = payload
    const command: CreateStreamCommand = {
      _tag: "CreateStream",
      name,
      topicId: randomBytes(16).toString("base64url"),
      filters,
      partitions,
      key: key ?? defaultKey(filters, new Map(Object.entries(config))),
      config: Object.entries(config),
      validateOnly
    }
    return changed(broker, yield* askCatalog(broker, command, "http POST /streams"), [])
  })

/** The records that are there stay where they are. */
const keysMove =
  "most keys have another partition from now on: the records of a key are in order before and behind this moment, not over it"

/** While the disk is low, too: a shorter retention is what frees it. Partitions are none of what frees it. */
export const alterStream = (broker: Broker, name: string, payload: typeof AlterStream.Type) => {
  const { filters, config, partitions } = payload
  const command: Extract<CatalogCommand, { readonly _tag: "AlterStream" }> = {
    _tag: "AlterStream",
    name,
    ...(filters === undefined ? {} : { filters }),
    ...(config === undefined ? {} : { config: Object.entries(config) }),
    ...(partitions === undefined ? {} : { partitions })
  }
  return Effect.gen(function* () {
    if (partitions !== undefined) yield* withRoom(broker)
    const filtersBefore = broker.directory.byName(name)?.filters ?? []
    const altered = yield* askCatalog(broker, command, "http PATCH /streams")
    return changed(broker, altered, filtersBefore, partitions === undefined ? [] : [keysMove])
  })
}

export const deleteStream = (broker: Broker, name: string) =>
  Effect.map(askCatalog(broker, { _tag: "DeleteStream", name }, "http DELETE /streams"), ({ topicId }) => ({ topicId }))
