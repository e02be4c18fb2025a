import { isUtf8 } from "node:buffer"
import * as Effect from "effect/Effect"
import { plainText } from "../plainText.ts"
import { type CliError, usageError } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { outJson, painted, type Io } from "./Io.ts"
import { compileFormat, FormatError, formatHelp } from "./recordFormat.ts"
import type { ShownRecord } from "./ShownRecord.ts"

export type Print = (record: ShownRecord) => void

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8")

const jsonBytes = (name: string, bytes: Uint8Array | null): Readonly<Record<string, string | null>> => {
  if (bytes === null) return { [name]: null }
  return isUtf8(bytes) ? { [name]: textOf(bytes) } : { [`${name}Base64`]: Buffer.from(bytes).toString("base64") }
}

const jsonOf = ({ topic, partition, offset, timestampMs, key, value, headers, more }: ShownRecord): object => ({
  topic,
  ...(partition === undefined ? {} : { partition, offset }),
  timestampMs,
  ...(key === null && partition === undefined ? {} : jsonBytes("key", key)),
  headers: headers.map(([name, each]) => ({ name, ...jsonBytes("value", each) })),
  ...jsonBytes("value", value),
  ...more
})

/** A cell: text as it is, other bytes as hexadecimal digits. */
const cellOf = (bytes: Uint8Array | null): string => {
  if (bytes === null) return "-"
  return isUtf8(bytes) ? textOf(bytes) : `0x${Buffer.from(bytes).toString("hex")}`
}

interface Column {
  readonly title: string
  /** There may be no end, so that no column can be as wide as what is in it. */
  readonly width: number
  readonly cell: (record: ShownRecord) => string
}

const time: Column = {
  title: "TIME",
  width: 24,
  cell: ({ timestampMs }) => (timestampMs < 0 ? "-" : new Date(timestampMs).toISOString())
}
const topic: Column = { title: "TOPIC", width: 24, cell: (record) => record.topic }
const value: Column = { title: "VALUE", width: 0, cell: (record) => cellOf(record.value) }
const place: ReadonlyArray<Column> = [
  { title: "PARTITION", width: 9, cell: ({ partition }) => String(partition ?? "-") },
  { title: "OFFSET", width: 8, cell: ({ offset }) => String(offset ?? "-") },
  { title: "KEY", width: 12, cell: ({ key }) => cellOf(key) }
]

/** The columns of messages that come as they are published, and of what a stream has. */
export const columns = { messages: [time, topic, value], stream: [time, topic, ...place, value] } as const

/** Prints the head with the first record: what shows nothing prints nothing. */
const tablePrinter = (io: Io, shown: ReadonlyArray<Column>): Print => {
  const line = (cells: ReadonlyArray<string>): string =>
    (io.isTty ? cells.map((cell, i) => cell.padEnd(shown[i]!.width)).join("  ") : cells.join("\t")).trimEnd()
  let isBegun = false
  return (record) => {
    if (!isBegun) io.out(painted(io, "bold", line(shown.map(({ title }) => title))))
    isBegun = true
    io.out(line(shown.map(({ cell }) => plainText(cell(record)))))
  }
}

const formatPrinter = (io: Io, text: string): Print => {
  const format = compileFormat(text)
  // A record's bytes and names would move a terminal's cursor; a pipe gets them as they are.
  const shown = (part: Uint8Array | string): Uint8Array => {
    const bytes = Buffer.from(part as string)
    return io.isTty ? Buffer.from(plainText(textOf(bytes))) : bytes
  }
  const write = (record: ShownRecord) => (part: (typeof format)[number]) =>
    typeof part === "string" ? Buffer.from(part) : shown(part(record))
  return (record) => io.write(Buffer.concat(format.map(write(record))))
}

export const printerOf = (args: Arguments, io: Io, shown: ReadonlyArray<Column>): Effect.Effect<Print, CliError> =>
  Effect.suspend(() => {
    const format = args.text("format")
    if (format === undefined) {
      const print: Print = (record) => outJson(io, jsonOf(record))
      return Effect.succeed(args.flag("json") ? print : tablePrinter(io, shown))
    }
    if (args.flag("json")) return Effect.fail(usageError("--json and --format exclude each other"))
    try {
      return Effect.succeed(formatPrinter(io, format))
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      return Effect.fail(usageError(`--format: ${error.message}`, `there are ${formatHelp}`))
    }
  })
