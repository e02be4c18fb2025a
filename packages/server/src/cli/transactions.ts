import * as Effect from "effect/Effect"
import { plainText } from "../plainText.ts"
import { exitCodes } from "./CliError.ts"
import { type FieldsOf, listAll, pathSegment, requestJson } from "./client.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { timeText } from "./eventText.ts"
import { counted, durationText, fields, table, type Io, outJson } from "./Io.ts"
import { urlOf } from "./optionValues.ts"

interface TransactionSummary {
  readonly transactionalId: string
  readonly state: string
  readonly producerId: number
  readonly producerEpoch: number
  readonly partitions: number
  readonly groups: number
  readonly openMs: number | null
}

interface TransactionDetails {
  readonly transactionalId: string
  readonly state: string
  readonly producerId: number
  readonly producerEpoch: number
  readonly timeoutMs: number
  readonly startedAt: string | null
  readonly updatedAt: string | null
  readonly partitions: ReadonlyArray<{ readonly stream: string; readonly partition: number }>
  readonly groups: ReadonlyArray<string>
}

interface Aborted {
  readonly producerId: number
  readonly partitions: number
  readonly groups: number
}

const summaryFields: FieldsOf<TransactionSummary> = [
  "transactionalId",
  "state",
  "producerId",
  "producerEpoch",
  "partitions",
  "groups"
]
const detailsFields: FieldsOf<TransactionDetails> = ["transactionalId", "state", "timeoutMs", "partitions", "groups"]

export const list: Run = (args, io) =>
  Effect.gen(function* () {
    const url = yield* urlOf(args, io)
    const transactions = yield* listAll<TransactionSummary>(url, "/api/v1/transactions", summaryFields)
    if (args.flag("json")) outJson(io, transactions, 2)
    else {
      table(
        io,
        ["TRANSACTIONAL ID", "STATE", "PRODUCER", "EPOCH", "PARTITIONS", "GROUPS", "OPEN"],
        transactions.map(({ transactionalId, state, producerId, producerEpoch, partitions, groups, openMs }) => [
          transactionalId,
          state,
          ...[producerId, producerEpoch, partitions, groups].map(String),
          openMs === null ? "-" : durationText(openMs)
        ])
      )
    }
    return exitCodes.ok
  })

const printTransaction = (args: Arguments, io: Io, transaction: TransactionDetails): void => {
  const { transactionalId, state, producerId, producerEpoch, timeoutMs, startedAt, updatedAt, groups } = transaction
  const moment = (time: string | null): string => (time === null ? "-" : timeText(args, time))
  fields(io, [
    ["transactional id", transactionalId],
    ["state", state],
    ["producer", `${producerId}, epoch ${producerEpoch}`],
    ["timeout", durationText(timeoutMs)],
    ["began", moment(startedAt)],
    ["last used", moment(updatedAt)],
    ["groups", groups.length === 0 ? "-" : groups.join(" ")]
  ])
  io.out("")
  table(
    io,
    ["STREAM", "PARTITION"],
    transaction.partitions.map(({ stream, partition }) => [stream, String(partition)])
  )
}

const pathOf = (id: string) => Effect.map(pathSegment(id), (segment) => `/api/v1/transactions/${segment}`)

export const describe: Run = (args, io) =>
  Effect.gen(function* () {
    const path = yield* pathOf(args.positionals[0]!)
    const transaction = yield* requestJson<TransactionDetails>(yield* urlOf(args, io), path, detailsFields)
    if (args.flag("json")) outJson(io, transaction, 2)
    else printTransaction(args, io, transaction)
    return exitCodes.ok
  })

export const abort: Run = (args, io) =>
  Effect.gen(function* () {
    const id = args.positionals[0]!
    if (!(yield* confirmed(args, io, `abort the transaction of ${id}?`))) return exitCodes.failure
    const url = yield* urlOf(args, io)
    const aborted = yield* requestJson<Aborted>(
      url,
      `${yield* pathOf(id)}/abort`,
      ["producerId", "partitions", "groups"],
      "POST"
    )
    if (args.flag("json")) outJson(io, { transactionalId: id, ...aborted })
    else {
      const { partitions, groups } = aborted
      io.out(plainText(`aborted ${id} (${counted(partitions, "partition")}, ${counted(groups, "group")})`))
    }
    return exitCodes.ok
  })
