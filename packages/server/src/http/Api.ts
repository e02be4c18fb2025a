import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Schema from "effect/Schema"
import { apiCodes } from "./refusals.ts"

/** An endpoint's refusal with this status. */
const errorOf = <Status extends keyof typeof apiCodes>(status: Status) =>
  Schema.Struct({ code: Schema.Literal(...apiCodes[status]), message: Schema.String }).annotations(
    HttpApiSchema.annotations({ status })
  )

export const BadRequest = errorOf(400)
export const Forbidden = errorOf(403)
export const NotFound = errorOf(404)
export const Conflict = errorOf(409)
export const Gone = errorOf(410)
export const Unavailable = errorOf(503)

export type ApiError =
  | typeof BadRequest.Type
  | typeof Forbidden.Type
  | typeof NotFound.Type
  | typeof Conflict.Type
  | typeof Gone.Type
  | typeof Unavailable.Type

const PageMeta = Schema.Struct({ cursor: Schema.NullOr(Schema.String), hasnext: Schema.Boolean })
const listOf = <A, I>(item: Schema.Schema<A, I>) => Schema.Struct({ data: Schema.Array(item), meta: PageMeta })

const Count = Schema.Number
const Limit = Schema.optional(Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, 1000)))
const PageParams = Schema.Struct({ cursor: Schema.optional(Schema.String), limit: Limit })
const Settings = Schema.Record({ key: Schema.String, value: Schema.String })

const StreamSummary = Schema.Struct({
  name: Schema.String,
  topicId: Schema.String,
  kind: Schema.Literal("bound", "free"),
  filters: Schema.Array(Schema.String),
  partitions: Count,
  /** "none" of a free stream: its producers give the keys. */
  key: Schema.String,
  /** The stream's own; what it does not set is the default. */
  config: Settings,
  createdAt: Schema.String,
  records: Count,
  bytes: Count
})

const StreamDetails = Schema.Struct({
  ...StreamSummary.fields,
  /** In the answer to what was created or altered: what is allowed, and rarely meant. */
  warnings: Schema.optional(Schema.Array(Schema.String)),
  /** -1: nothing expires by age, as of a stream that is only compacted; so too for bytes. */
  retentionMs: Count,
  retentionBytes: Count,
  partitionDetails: Schema.Array(
    Schema.Struct({ partition: Count, logId: Count, startOffset: Count, highWatermark: Count, bytes: Count })
  )
})

/** A field that nobody reads is a mistake, and the stream would be another one than meant. */
const exact = { parseOptions: { onExcessProperty: "error" } } as const

/** The body that creates a stream. Filters make a bound stream. Without partitions, or with -1, a bound stream has 16 and a free one has 1. */
export const CreateStream = Schema.Struct({
  name: Schema.String,
  filters: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] }),
  partitions: Schema.optionalWith(Schema.Int, { default: () => -1 }),
  key: Schema.optional(Schema.String),
  config: Schema.optionalWith(Settings, { default: () => ({}) }),
  validateOnly: Schema.optionalWith(Schema.Boolean, { default: () => false })
}).annotations(exact)

/** A setting of null goes back to its default; there can be more partitions, not fewer. */
export const AlterStream = Schema.Struct({
  partitions: Schema.optional(Schema.Int),
  filters: Schema.optional(Schema.Array(Schema.String)),
  config: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.NullOr(Schema.String) }))
}).annotations(exact)

const name = HttpApiSchema.param("name", Schema.String)

const streams = HttpApiGroup.make("streams")
  .add(HttpApiEndpoint.get("list", "/streams").setUrlParams(PageParams).addSuccess(listOf(StreamSummary)))
  .add(HttpApiEndpoint.post("create", "/streams").setPayload(CreateStream).addSuccess(StreamDetails, { status: 201 }))
  .add(HttpApiEndpoint.get("get")`/streams/${name}`.addSuccess(StreamDetails))
  .add(HttpApiEndpoint.patch("alter")`/streams/${name}`.setPayload(AlterStream).addSuccess(StreamDetails))
  .add(HttpApiEndpoint.del("delete")`/streams/${name}`.addSuccess(Schema.Struct({ topicId: Schema.String })))

const TotalLag = {
  /** null while it is not known of a partition. */
  lag: Schema.NullOr(Count),
  /** The lag of the partitions of which it is known. */
  knownLag: Count,
  /** Records that were gone before the group had read them. */
  lost: Count,
  unknownPartitions: Count
}

const GroupSummary = Schema.Struct({
  group: Schema.String,
  state: Schema.String,
  members: Count,
  ...TotalLag,
  committedOffsets: Count,
  /** About what the group takes of the server's memory. */
  memoryBytes: Count
})

const GroupDetails = Schema.Struct({
  group: Schema.String,
  state: Schema.String,
  generation: Count,
  ...TotalLag,
  /** As the journal tools show it. */
  details: Schema.Unknown,
  offsets: Schema.Array(
    Schema.Struct({
      stream: Schema.String,
      partition: Count,
      /** Negative where the client said that it has none. */
      offset: Count,
      logStartOffset: Schema.NullOr(Count),
      highWatermark: Schema.NullOr(Count),
      lag: Schema.NullOr(Count),
      lost: Schema.NullOr(Count)
    })
  )
})

/**
 * The body that resets a group's offsets: `to` earliest, latest, an offset or a time, or `by` so many records; of the streams that are
 * named, or all that the group has offsets of. `validateOnly`: only tells what would be.
 */
export const ResetOffsets = Schema.Struct({
  streams: Schema.optional(
    Schema.Array(Schema.Struct({ name: Schema.String, partitions: Schema.optional(Schema.Array(Schema.Int)) }))
  ),
  to: Schema.optional(Schema.String),
  by: Schema.optional(Schema.Int),
  validateOnly: Schema.optionalWith(Schema.Boolean, { default: () => false })
}).annotations(exact)

const OffsetsReset = Schema.Struct({
  group: Schema.String,
  validateOnly: Schema.Boolean,
  offsets: Schema.Array(
    Schema.Struct({
      stream: Schema.String,
      partition: Count,
      /** null: nothing was committed. */
      before: Schema.NullOr(Count),
      after: Count,
      logStartOffset: Count,
      highWatermark: Count
    })
  )
})

const groups = HttpApiGroup.make("groups")
  .add(HttpApiEndpoint.get("list", "/groups").setUrlParams(PageParams).addSuccess(listOf(GroupSummary)))
  .add(HttpApiEndpoint.get("get")`/groups/${name}`.addSuccess(GroupDetails))
  .add(HttpApiEndpoint.del("delete")`/groups/${name}`.addSuccess(Schema.Struct({ offsets: Count })))
  .add(
    HttpApiEndpoint.post("resetOffsets")`/groups/${name}/reset-offsets`
      .setPayload(ResetOffsets)
      .addSuccess(OffsetsReset)
  )

const TransactionSummary = Schema.Struct({
  transactionalId: Schema.String,
  state: Schema.String,
  producerId: Count,
  producerEpoch: Count,
  partitions: Count,
  groups: Count,
  /** Since when a transaction is open or ending; null: none is. */
  openMs: Schema.NullOr(Count)
})

const TransactionDetails = Schema.Struct({
  transactionalId: Schema.String,
  state: Schema.String,
  producerId: Count,
  producerEpoch: Count,
  timeoutMs: Count,
  startedAt: Schema.NullOr(Schema.String),
  updatedAt: Schema.NullOr(Schema.String),
  partitions: Schema.Array(Schema.Struct({ stream: Schema.String, partition: Count })),
  groups: Schema.Array(Schema.String)
})

const transactions = HttpApiGroup.make("transactions")
  .add(HttpApiEndpoint.get("list", "/transactions").setUrlParams(PageParams).addSuccess(listOf(TransactionSummary)))
  .add(HttpApiEndpoint.get("get")`/transactions/${name}`.addSuccess(TransactionDetails))
  .add(
    HttpApiEndpoint.post("abort")`/transactions/${name}/abort`.addSuccess(
      Schema.Struct({ producerId: Count, partitions: Count, groups: Count })
    )
  )

const JournalEvent = Schema.Struct({
  seq: Count,
  time: Schema.String,
  epoch: Count,
  actor: Schema.String,
  type: Schema.String,
  version: Count,
  cause: Schema.Struct({ seq: Schema.optional(Count), origin: Schema.optional(Schema.String) }),
  event: Schema.Unknown
})

const Seq = Schema.NumberFromString.pipe(Schema.int(), Schema.nonNegative())
const EventParams = Schema.Struct({
  /** The first seq. */
  cursor: Schema.optional(Seq),
  /** Instead of a cursor: the newest ones. */
  last: Limit,
  limit: Limit,
  kind: Schema.optional(Schema.String),
  actor: Schema.optional(Schema.String),
  type: Schema.optional(Schema.String)
})
/** A seq, or a time: ISO 8601, `2026-11-29 23:13:04` or `23:13` in UTC, `-5m`. */
const Point = Schema.String
const seq = HttpApiSchema.param("seq", Seq)

const journal = HttpApiGroup.make("journal")
  .add(HttpApiEndpoint.get("events", "/journal/events").setUrlParams(EventParams).addSuccess(listOf(JournalEvent)))
  .add(
    HttpApiEndpoint.get("show")`/journal/events/${seq}`.addSuccess(
      Schema.Struct({
        event: JournalEvent,
        causes: Schema.Array(JournalEvent),
        origin: Schema.NullOr(Schema.String),
        publishers: Schema.optional(
          Schema.Array(
            Schema.Struct({
              clientId: Schema.NullOr(Schema.String),
              records: Count,
              offsets: Schema.Array(Schema.Tuple(Count, Count))
            })
          )
        )
      })
    )
  )
  .add(
    HttpApiEndpoint.get("state", "/journal/state")
      .setUrlParams(Schema.Struct({ actor: Schema.String, at: Schema.optional(Point) }))
      .addSuccess(Schema.Struct({ actor: Schema.String, seq: Count, state: Schema.Unknown }))
  )
  .add(
    HttpApiEndpoint.get("diff", "/journal/diff")
      .setUrlParams(Schema.Struct({ actor: Schema.String, from: Point, to: Point }))
      .addSuccess(
        Schema.Struct({
          actor: Schema.String,
          fromSeq: Count,
          toSeq: Count,
          isSwapped: Schema.Boolean,
          changes: Schema.Array(
            Schema.Struct({
              path: Schema.String,
              change: Schema.Literal("added", "removed", "changed"),
              before: Schema.optional(Schema.Unknown),
              after: Schema.optional(Schema.Unknown)
            })
          ),
          events: Schema.Array(JournalEvent),
          hasMoreEvents: Schema.Boolean
        })
      )
  )

const cluster = HttpApiGroup.make("cluster")
  .add(
    HttpApiEndpoint.get("info", "/cluster").addSuccess(
      Schema.Struct({
        clusterId: Schema.String,
        nodeId: Count,
        version: Schema.String,
        node: Schema.String,
        epoch: Count,
        streams: Count,
        groups: Count,
        sessions: Count,
        journal: Schema.Struct({ firstSeq: Count, nextSeq: Count, segments: Count, bytes: Count }),
        disk: Schema.Struct({ freeBytes: Count, totalBytes: Count, isLow: Schema.Boolean }),
        /** While it is held, retention goes by the time that has passed: the machine's clock is that much ahead. */
        retentionClock: Schema.Struct({ isHeld: Schema.Boolean, aheadMs: Count })
      })
    )
  )
  .add(
    /** Retention is to believe the machine's clock, which ran ahead. */
    HttpApiEndpoint.post("trustClock", "/cluster/trust-clock").addSuccess(Schema.Struct({ wasHeld: Schema.Boolean }))
  )

const mqtt = HttpApiGroup.make("mqtt").add(
  HttpApiEndpoint.get("unmatched", "/mqtt/unmatched-topics").addSuccess(
    Schema.Struct({
      /** The most frequent first; `count` is exact, or too low by `countErrorMax` at most. */
      ...listOf(Schema.Struct({ topic: Schema.String, count: Count })).fields,
      /** The messages of all topics, since the server's start. */
      total: Count,
      countErrorMax: Count
    })
  )
)

const SessionSummary = Schema.Struct({
  clientId: Schema.String,
  state: Schema.Literal("connected", "disconnected"),
  /** When the session got, or lost, its connection. */
  since: Schema.String,
  /** 3: MQTT 3.1; 4: MQTT 3.1.1. */
  protocolVersion: Count,
  /** The client is there; null without a connection. */
  address: Schema.NullOr(Schema.String),
  /** 0: the session ends with its connection. */
  sessionExpiryMs: Count,
  /** null while it is connected. */
  expiresAt: Schema.NullOr(Schema.String),
  subscriptions: Count,
  /**
   * Messages of QoS 1 and 2 in the session's queue, with those that were sent; of a session that ends with its connection only those of
   * groups that read streams, also for the next two.
   */
  queued: Count,
  unacknowledged: Count,
  /** Messages that the queue had no room for. */
  dropped: Count
})

const SessionDetails = Schema.Struct({
  ...SessionSummary.fields,
  startedAt: Schema.String,
  /** 0: none; null without a connection. */
  keepAliveMs: Schema.NullOr(Count),
  willTopic: Schema.NullOr(Schema.String),
  /** The subscriptions. */
  filters: Schema.Array(
    Schema.Struct({
      filter: Schema.String,
      qos: Count,
      noLocal: Schema.Boolean,
      retainAsPublished: Schema.Boolean,
      retainHandling: Count,
      subscriptionId: Schema.NullOr(Count)
    })
  )
})

const SessionParams = Schema.Struct({
  ...PageParams.fields,
  /** Only client ids that have this text in them. */
  contains: Schema.optional(Schema.String),
  state: Schema.optional(Schema.Literal("connected", "disconnected"))
})

const SessionKicked = Schema.Struct({ wasConnected: Schema.Boolean, sessionEnded: Schema.Boolean })

const sessions = HttpApiGroup.make("sessions")
  .add(HttpApiEndpoint.get("list", "/sessions").setUrlParams(SessionParams).addSuccess(listOf(SessionSummary)))
  .add(HttpApiEndpoint.get("get")`/sessions/${name}`.addSuccess(SessionDetails))
  /** Ends the session, and its client's connection. */
  .add(HttpApiEndpoint.del("forget")`/sessions/${name}`.addSuccess(SessionKicked))
  /** Ends the connection: with DISCONNECT 0x98 in MQTT 5. */
  .add(HttpApiEndpoint.del("kick")`/sessions/${name}/connection`.addSuccess(SessionKicked))

const StreamShareSummary = Schema.Struct({
  /** `$share/GROUP/$stream/NAME[/FILTER]`, which names the group. */
  filter: Schema.String,
  group: Schema.String,
  stream: Schema.String,
  /** FILTER; null: all of the stream. */
  topicFilter: Schema.NullOr(Schema.String),
  /** Sessions that have the subscription; and those of them that are connected. */
  members: Count,
  connected: Count,
  /** null while there are members. */
  emptySince: Schema.NullOr(Schema.String),
  /** Records that were read and that no member has. */
  waiting: Count,
  /** Records to read, those that the filter does not match as well; null while it is not known of one partition: `knownLag` is that of the others. */
  lag: Schema.NullOr(Count),
  knownLag: Count,
  /** Records that were gone before the group had read them. */
  lost: Count,
  unknownPartitions: Count
})

const StreamShareDetails = Schema.Struct({
  ...StreamShareSummary.fields,
  /** Reading ends before records of this time; null: it does not. */
  untilAt: Schema.NullOr(Schema.String),
  memberDetails: Schema.Array(
    Schema.Struct({
      clientId: Schema.String,
      state: Schema.Literal("connected", "disconnected"),
      address: Schema.NullOr(Schema.String),
      qos: Count,
      /** This and the next one are those of the whole session, as in `/sessions`. */
      queued: Count,
      unacknowledged: Count
    })
  ),
  /** Those that are read. */
  partitions: Schema.Array(
    Schema.Struct({
      partition: Count,
      /** The next one to read. */
      offset: Count,
      /** Reading ends before it; null: it does not. */
      end: Schema.NullOr(Count),
      logStartOffset: Schema.NullOr(Count),
      highWatermark: Schema.NullOr(Count),
      lag: Schema.NullOr(Count),
      lost: Schema.NullOr(Count),
      waiting: Count
    })
  )
})

const streamShares = HttpApiGroup.make("streamShares")
  .add(HttpApiEndpoint.get("list", "/stream-shares").setUrlParams(PageParams).addSuccess(listOf(StreamShareSummary)))
  .add(HttpApiEndpoint.get("get")`/stream-shares/${name}`.addSuccess(StreamShareDetails))
  .add(HttpApiEndpoint.del("delete")`/stream-shares/${name}`.addSuccess(Schema.Struct({ waiting: Count })))

/** `#` by default, which matches no topic that begins with `$`. */
const FilterParam = Schema.optionalWith(Schema.String, { default: () => "#" })
const FilteredParams = Schema.Struct({ ...PageParams.fields, filter: FilterParam })

const RetainedSummary = Schema.Struct({
  topic: Schema.String,
  /** The payload's. */
  bytes: Count,
  qos: Count,
  /** The publisher's. */
  clientId: Schema.String,
  receivedAt: Schema.String,
  expiresAt: Schema.NullOr(Schema.String)
})

const RetainedDetails = Schema.Struct({
  ...RetainedSummary.fields,
  contentType: Schema.NullOr(Schema.String),
  responseTopic: Schema.NullOr(Schema.String),
  /** In base64, as the payload is. */
  correlationData: Schema.NullOr(Schema.String),
  payloadFormat: Schema.NullOr(Schema.Literal(0, 1)),
  userProperties: Schema.Array(Schema.Tuple(Schema.String, Schema.String)),
  payload: Schema.String
})

const Purged = Schema.Struct({ purged: Count, meta: PageMeta })

const retained = HttpApiGroup.make("retained")
  .add(HttpApiEndpoint.get("list", "/retained").setUrlParams(FilteredParams).addSuccess(listOf(RetainedSummary)))
  /** Removes the messages of a page: the request for the next one goes on behind its cursor. */
  .add(
    HttpApiEndpoint.del("purge", "/retained")
      .setUrlParams(Schema.Struct({ ...PageParams.fields, filter: Schema.String }))
      .addSuccess(Purged)
  )
  .add(HttpApiEndpoint.get("get")`/retained/${name}`.addSuccess(RetainedDetails))

const topics = HttpApiGroup.make("topics").add(
  HttpApiEndpoint.get("list", "/topics")
    .setUrlParams(FilteredParams)
    .addSuccess(
      listOf(
        Schema.Struct({
          /** A topic name, or a filter that a stream is bound to. */
          topic: Schema.String,
          /** The streams that store its messages. */
          streams: Schema.Array(Schema.String),
          /** The retained message's payload; null: nothing is retained. */
          retainedBytes: Schema.NullOr(Count),
          /** How often a message went nowhere since the start; null: it is not among the most frequent of those topics. */
          unmatched: Schema.NullOr(Count)
        })
      )
    )
)

const config = HttpApiGroup.make("config").add(
  HttpApiEndpoint.get("show", "/config").addSuccess(
    Schema.Struct({
      /** The settings are read once, at the start. */
      since: Schema.String,
      /** `origin`: a flag, a variable, a file with its line, or `default`. */
      settings: Schema.Array(Schema.Struct({ path: Schema.String, value: Schema.Unknown, origin: Schema.String }))
    })
  )
)

/** The HTTP API, version 1. Live events are beside it: server-sent events cannot be said in OpenAPI. */
export const Api = HttpApi.make("logbrook")
  .add(streams)
  .add(groups)
  .add(transactions)
  .add(sessions)
  .add(streamShares)
  .add(retained)
  .add(topics)
  .add(journal)
  .add(cluster)
  .add(config)
  .add(mqtt)
  .addError(BadRequest)
  .addError(Forbidden)
  .addError(NotFound)
  .addError(Conflict)
  .addError(Gone)
  .addError(Unavailable)
  .prefix("/api/v1")
  .annotateContext(OpenApi.annotations({ title: "Logbrook", version: "1" }))
