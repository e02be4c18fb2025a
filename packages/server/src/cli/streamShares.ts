import * as Effect from "effect/Effect"
import { exitCodes, type CliError } from "./CliError.ts"
import { type FieldsOf, listAll, pathSegment, requestJson } from "./client.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { momentText } from "./eventText.ts"
import { lagFields, lagText, type TotalLag } from "./groupLagText.ts"
import { counted, fields, table, type Io, outJson } from "./Io.ts"
import { urlOf } from "./optionValues.ts"
import { plainText } from "../plainText.ts"

interface ShareSummary extends TotalLag {
  readonly filter: string
  readonly group: string
  readonly stream: string
  readonly topicFilter: string | null
  readonly members: number
  readonly connected: number
  readonly emptySince: string | null
  readonly waiting: number
}

interface ShareDetails extends ShareSummary {
  readonly untilAt: string | null
  readonly memberDetails: ReadonlyArray<{
    readonly clientId: string
    readonly state: string
    readonly address: string | null
    readonly qos: number
    readonly queued: number
    readonly unacknowledged: number
  }>
  readonly partitions: ReadonlyArray<{
    readonly partition: number
    readonly offset: number
    readonly end: number | null
    readonly logStartOffset: number | null
    readonly highWatermark: number | null
    readonly lag: number | null
    readonly lost: number | null
    readonly waiting: number
  }>
}

const summaryFields: FieldsOf<ShareSummary> = ["filter", "members", "connected", "emptySince", "waiting", ...lagFields]
const detailsFields: FieldsOf<ShareDetails> = [
  ...summaryFields,
  "group",
  "stream",
  "topicFilter",
  "untilAt",
  "memberDetails",
  "partitions"
]

const pathOf = (filter: string): Effect.Effect<string, CliError> =>
  Effect.map(pathSegment(filter), (segment) => `/api/v1/stream-shares/${segment}`)

export const list: Run = (args, io) =>
  Effect.gen(function* () {
    const shares = yield* listAll<ShareSummary>(yield* urlOf(args, io), "/api/v1/stream-shares", summaryFields)
    if (args.flag("json")) {
      outJson(io, shares, 2)
      return exitCodes.ok
    }
    table(
      io,
      ["FILTER", "MEMBERS", "CONNECTED", "EMPTY SINCE", "WAITING", "LAG", "LOST"],
      shares.map((share) => [
        share.filter,
        String(share.members),
        String(share.connected),
        share.emptySince === null ? "-" : momentText(args, io, share.emptySince),
        String(share.waiting),
        lagText(share),
        String(share.lost)
      ])
    )
    return exitCodes.ok
  })

const printShare = (args: Arguments, io: Io, share: ShareDetails): void => {
  const { emptySince, untilAt } = share
  fields(io, [
    ["group", share.group],
    ["stream", share.stream],
    ["filter", share.topicFilter ?? "-"],
    ...(untilAt === null ? [] : ([["ends before", momentText(args, io, untilAt)]] as const)),
    ...(emptySince === null ? [] : ([["without members since", momentText(args, io, emptySince)]] as const)),
    ["waiting", String(share.waiting)],
    ["lag", lagText(share)],
    ["lost", String(share.lost)]
  ])
  io.out("")
  table(
    io,
    ["CLIENT", "STATE", "ADDRESS", "QOS", "QUEUED", "UNACKNOWLEDGED"],
    share.memberDetails.map(({ clientId, state, address, qos, queued, unacknowledged }) => [
      clientId,
      state,
      address ?? "-",
      ...[qos, queued, unacknowledged].map(String)
    ])
  )
  io.out("")
  table(
    io,
    ["PARTITION", "OFFSET", "ENDS AT", "START", "END", "LAG", "LOST", "WAITING"],
    share.partitions.map(({ partition, offset, end, logStartOffset, highWatermark, lag, lost, waiting }) =>
      [
        partition,
        offset,
        end ?? "-",
        logStartOffset ?? "-",
        highWatermark ?? "-",
        lag ?? "unknown",
        lost ?? "unknown",
        waiting
      ].map(String)
    )
  )
}

export const describe: Run = (args, io) =>
  Effect.gen(function* () {
    const path = yield* pathOf(args.positionals[0]!)
    const share = yield* requestJson<ShareDetails>(yield* urlOf(args, io), path, detailsFields)
    if (args.flag("json")) outJson(io, share, 2)
    else printShare(args, io, share)
    return exitCodes.ok
  })

export const remove: Run = (args, io) =>
  Effect.gen(function* () {
    const filter = args.positionals[0]!
    const path = yield* pathOf(filter)
    if (!(yield* confirmed(args, io, `forget the position of ${filter}?`))) return exitCodes.failure
    const deleted = yield* requestJson<{ readonly waiting: number }>(
      yield* urlOf(args, io),
      path,
      ["waiting"],
      "DELETE"
    )
    if (args.flag("json")) outJson(io, { filter, ...deleted })
    else io.out(plainText(`deleted ${filter} (${counted(deleted.waiting, "record")} waited)`))
    return exitCodes.ok
  })
