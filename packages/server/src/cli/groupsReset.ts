import * as Effect from "effect/Effect"
import { type CliError, exitCodes, usageError } from "./CliError.ts"
import { type FieldsOf, pathSegment, requestJson } from "./client.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { counted, note, table, type Io, outJson } from "./Io.ts"
import { boundOption, urlOf } from "./optionValues.ts"
import { plainText } from "../plainText.ts"

interface ResetOffset {
  readonly stream: string
  readonly partition: number
  readonly before: number | null
  readonly after: number
  readonly logStartOffset: number
  readonly highWatermark: number
}

interface Reset {
  readonly group: string
  readonly validateOnly: boolean
  readonly offsets: ReadonlyArray<ResetOffset>
}

const resetFields: FieldsOf<Reset> = ["group", "validateOnly", "offsets"]

/** `orders`, `orders:0`, `orders:0,3`: a stream's name has no colon. A stream or partition that is named twice is asked for once. */
const streamsOf = (args: Arguments): Effect.Effect<ReadonlyArray<object> | undefined, CliError> => {
  const texts = args.texts("stream")
  if (texts.length === 0) return Effect.succeed(undefined)
  const chosen = new Map<string, ReadonlySet<number> | "all">()
  for (const text of texts) {
    const [, name, partitions] = /^([^:]+)(?::(\d{1,9}(?:,\d{1,9})*))?$/.exec(text) ?? []
    if (name === undefined) {
      return Effect.fail(usageError(`--stream takes NAME or NAME:PARTITION,…, not "${text}"`, "orders, orders:0,3"))
    }
    const before = chosen.get(name) ?? new Set()
    const isAll = partitions === undefined || before === "all"
    chosen.set(name, isAll ? "all" : new Set([...before, ...partitions.split(",").map(Number)]))
  }
  const streams = Array.from(chosen, ([name, of]) => (of === "all" ? { name } : { name, partitions: [...of] }))
  return Effect.succeed(streams)
}

const shiftOf = (text: string): Effect.Effect<number, CliError> => {
  if (/^[+-]?\d{1,15}$/.test(text)) return Effect.succeed(Number(text))
  return Effect.fail(usageError(`--by takes a number of records, such as -100, not "${text}"`))
}

/** The server is asked for this; times are read here, as other commands read them. */
const bodyOf = (args: Arguments, io: Io): Effect.Effect<object, CliError> =>
  Effect.gen(function* () {
    const [to, by] = [args.text("to"), args.text("by")]
    if ((to === undefined) === (by === undefined)) {
      return yield* Effect.fail(usageError("a reset takes either --to or --by", "logbrook groups reset --help"))
    }
    const streams = yield* streamsOf(args)
    const chosen = streams === undefined ? {} : { streams }
    if (by !== undefined) return { ...chosen, by: yield* shiftOf(by) }
    const bound = yield* boundOption(io, "to", to!, ["earliest", "latest"])
    if (typeof bound === "string") return { ...chosen, to: bound }
    return { ...chosen, to: "seq" in bound ? String(bound.seq) : new Date(bound.timeMs).toISOString() }
  })

const changeText = ({ before, after }: ResetOffset): string => {
  if (before === null) return "new"
  return after === before ? "-" : `${after > before ? "+" : ""}${after - before}`
}

const print = (io: Io, offsets: ReadonlyArray<ResetOffset>): void =>
  table(
    io,
    ["STREAM", "PARTITION", "OFFSET", "NEW", "CHANGE", "LAG"],
    offsets.map((each) => [
      each.stream,
      String(each.partition),
      String(each.before ?? "-"),
      String(each.after),
      changeText(each),
      String(each.highWatermark - each.after)
    ])
  )

/** Says what would be committed, and does it once somebody agrees. */
export const reset: Run = (args, io) =>
  Effect.gen(function* () {
    const group = args.positionals[0]!
    const body = yield* bodyOf(args, io)
    const path = `/api/v1/groups/${yield* pathSegment(group)}/reset-offsets`
    const url = yield* urlOf(args, io)
    const ask = (validateOnly: boolean) => requestJson<Reset>(url, path, resetFields, "POST", { ...body, validateOnly })
    const planned = yield* ask(true)
    const isJson = args.flag("json")
    if (args.flag("dry-run")) {
      if (isJson) outJson(io, planned, 2)
      else print(io, planned.offsets)
      return exitCodes.ok
    }
    if (!isJson) print(io, planned.offsets)
    if (planned.offsets.length === 0) note(io, `${group} has no offsets: name streams with --stream`)
    const question = `reset ${counted(planned.offsets.length, "offset")} of the group ${group}?`
    if (!(yield* confirmed(args, io, question))) return exitCodes.failure
    const made = yield* ask(false)
    if (isJson) outJson(io, made, 2)
    else io.out(plainText(`reset ${counted(made.offsets.length, "offset")} of ${group}`))
    return exitCodes.ok
  })
