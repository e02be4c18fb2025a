import * as Effect from "effect/Effect"
import { durationMs, sizeBytes } from "../config/values.ts"
import { type CliError, exitCodes, usageError } from "./CliError.ts"
import { type FieldsOf, listAll, pathSegment, requestJson } from "./client.ts"
import { plainText } from "../plainText.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { bytesText, durationText, fields, table, warn, type Io, outJson } from "./Io.ts"
import { numberOption, urlOf } from "./optionValues.ts"

interface StreamSummary {
  readonly name: string
  readonly topicId: string
  readonly kind: string
  readonly filters: ReadonlyArray<string>
  readonly partitions: number
  readonly key: string
  readonly createdAt: string
  readonly records: number
  readonly bytes: number
}

interface StreamDetails extends StreamSummary {
  readonly retentionMs: number
  readonly retentionBytes: number
  readonly config: Readonly<Record<string, string>>
  readonly partitionDetails: ReadonlyArray<{
    readonly partition: number
    readonly startOffset: number
    readonly highWatermark: number
    readonly bytes: number
  }>
  /** The warnings about what was created or altered. */
  readonly warnings?: ReadonlyArray<string>
}

const summaryFields = ["name", "kind", "filters", "partitions", "records", "bytes"] as const
const detailsFields: FieldsOf<StreamDetails> = [
  ...summaryFields,
  "topicId",
  "key",
  "createdAt",
  "retentionMs",
  "retentionBytes",
  "config",
  "partitionDetails"
]

const pathOf = (name: string): Effect.Effect<string, CliError> =>
  Effect.map(pathSegment(name), (segment) => `/api/v1/streams/${segment}`)

const limitExamples = { retention: "7d, 12h", "retention-bytes": "512MB, 10GiB" } as const

/** `7d`, `512MB`, or `unlimited`. */
const limitText = (
  name: keyof typeof limitExamples,
  text: string,
  parse: (value: unknown) => number | undefined
): Effect.Effect<string, CliError> => {
  if (text === "unlimited" || text === "-1") return Effect.succeed("-1")
  const value = parse(text)
  if (value === 0) {
    return Effect.fail(usageError(`--${name} ${text} would keep nothing`, "logbrook streams delete deletes a stream"))
  }
  // Milliseconds, or bytes: nobody means so few, and the stream would be empty at once.
  const isBare = /^\d+$/.test(text)
  if (value !== undefined && !isBare) return Effect.succeed(String(value))
  const rest = isBare ? ", which has no unit" : ""
  return Effect.fail(usageError(`--${name} takes ${limitExamples[name]} or unlimited, not "${text}"${rest}`))
}

const configOf = (args: Arguments): Effect.Effect<Record<string, string>, CliError> =>
  Effect.gen(function* () {
    const config: Record<string, string> = {}
    for (const pair of args.texts("config")) {
      const [, name, value] = /^([a-z.]+)=(.*)$/.exec(pair) ?? []
      if (name === undefined || value === undefined) {
        return yield* Effect.fail(usageError(`--config takes NAME=VALUE, not "${pair}"`))
      }
      config[name] = value
    }
    const [retention, bytes] = [args.text("retention"), args.text("retention-bytes")]
    if (retention !== undefined) config["retention.ms"] = yield* limitText("retention", retention, durationMs)
    if (bytes !== undefined) config["retention.bytes"] = yield* limitText("retention-bytes", bytes, sizeBytes)
    const isExpiring = retention !== undefined || bytes !== undefined
    if (args.flag("compact")) config["cleanup.policy"] ??= isExpiring ? "compact,delete" : "compact"
    return config
  })

const policiesOf = ({ config }: StreamDetails): ReadonlyArray<string> =>
  (config["cleanup.policy"] ?? "delete").split(",").map((name) => name.trim())

/** The rows that say what stays, and how long. */
const retentionRows = (stream: StreamDetails): ReadonlyArray<readonly [string, string]> => {
  const { retentionMs, retentionBytes } = stream
  const policies = policiesOf(stream)
  const rows: Array<readonly [string, string]> = []
  if (policies.includes("compact")) rows.push(["compaction", "the newest record of each key stays"])
  if (!policies.includes("delete")) return rows
  rows.push(
    ["retention", retentionMs < 0 ? "unlimited" : durationText(retentionMs)],
    ["retention bytes", retentionBytes < 0 ? "unlimited" : `${bytesText(retentionBytes)} per partition`]
  )
  return rows
}

const printStream = (io: Io, stream: StreamDetails): void => {
  const pairs: Array<readonly [string, string]> = [
    ["name", stream.name],
    ["kind", stream.kind === "bound" ? `bound to ${stream.filters.join(", ")}` : "free"],
    ...(stream.kind === "bound" ? ([["key", stream.key]] as const) : []),
    ...retentionRows(stream),
    ["topic id", stream.topicId],
    ["created", stream.createdAt],
    ["records", String(stream.records)],
    ["size", bytesText(stream.bytes)]
  ]
  fields(io, [...pairs, ...Object.entries(stream.config)])
  io.out("")
  const rows = stream.partitionDetails.map(({ partition, startOffset, highWatermark, bytes }) =>
    [partition, startOffset, highWatermark, highWatermark - startOffset, bytes].map(String)
  )
  table(io, ["PARTITION", "START", "END", "RECORDS", "BYTES"], rows)
}

const show = (args: Arguments, io: Io, stream: StreamDetails): void => {
  warn(io, stream.warnings ?? [])
  if (args.flag("json")) outJson(io, stream, 2)
  else printStream(io, stream)
}

export const create: Run = (args, io) =>
  Effect.gen(function* () {
    const stream = yield* requestJson<StreamDetails>(yield* urlOf(args, io), "/api/v1/streams", detailsFields, "POST", {
      name: args.positionals[0],
      filters: args.texts("filter"),
      partitions: yield* numberOption(args, "partitions", 1, -1),
      ...(args.text("key") === undefined ? {} : { key: args.text("key") }),
      config: yield* configOf(args)
    })
    show(args, io, stream)
    return exitCodes.ok
  })

export const list: Run = (args, io) =>
  Effect.gen(function* () {
    const streams = yield* listAll<StreamSummary>(yield* urlOf(args, io), "/api/v1/streams", summaryFields)
    if (args.flag("json")) {
      outJson(io, streams, 2)
      return exitCodes.ok
    }
    const rows = streams.map(({ name, kind, filters, partitions, records, bytes }) => [
      name,
      kind,
      String(partitions),
      String(records),
      bytesText(bytes),
      filters.join(" ")
    ])
    table(io, ["NAME", "KIND", "PARTITIONS", "RECORDS", "SIZE", "FILTERS"], rows)
    if (rows.length === 0 && io.isTty) io.err("no streams yet: logbrook streams create sensors --filter 'sensors/#'")
    return exitCodes.ok
  })

export const describe: Run = (args, io) =>
  Effect.gen(function* () {
    const path = yield* pathOf(args.positionals[0]!)
    show(args, io, yield* requestJson<StreamDetails>(yield* urlOf(args, io), path, detailsFields))
    return exitCodes.ok
  })

export const alter: Run = (args, io) =>
  Effect.gen(function* () {
    const filters = args.texts("filter")
    const config: Record<string, string | null> = yield* configOf(args)
    for (const name of args.texts("reset")) config[name] = null
    const partitions = yield* numberOption(args, "partitions", 2, 0)
    if (filters.length === 0 && Object.keys(config).length === 0 && partitions === 0) {
      return yield* Effect.fail(usageError("there is nothing to change"))
    }
    const body = { ...(filters.length === 0 ? {} : { filters }), ...(partitions === 0 ? {} : { partitions }), config }
    const path = yield* pathOf(args.positionals[0]!)
    const stream = yield* requestJson<StreamDetails>(yield* urlOf(args, io), path, detailsFields, "PATCH", body)
    const isLimited = args.text("retention") !== undefined || args.text("retention-bytes") !== undefined
    if (isLimited && !policiesOf(stream).includes("delete")) {
      io.err("the stream is compacted only, nothing of it expires: --config cleanup.policy=compact,delete changes that")
    }
    show(args, io, stream)
    return exitCodes.ok
  })

export const remove: Run = (args, io) =>
  Effect.gen(function* () {
    const name = args.positionals[0]!
    if (!(yield* confirmed(args, io, `delete the stream ${name} and its records?`))) return exitCodes.failure
    const path = yield* pathOf(name)
    const deleted = yield* requestJson<{ readonly topicId: string }>(
      yield* urlOf(args, io),
      path,
      ["topicId"],
      "DELETE"
    )
    if (args.flag("json")) outJson(io, { name, ...deleted })
    else io.out(plainText(`deleted ${name}`))
    return exitCodes.ok
  })
