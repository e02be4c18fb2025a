import type { Readable } from "node:stream"
import { styleText } from "node:util"
import { plainJson, plainText } from "../plainText.ts"
import { Output } from "./Output.ts"

/** Where a command writes. */
export interface Io {
  /** Whole lines, without their ends. */
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  /** Bytes to stdout, as they are. */
  readonly write: (bytes: Uint8Array) => void
  /** Resolves once stdout has taken what was written; undefined: it has. Rejects with `CliError` where it takes nothing more. */
  readonly flushed: () => Promise<void> | undefined
  readonly stdin: () => Readable & { readonly isTTY?: boolean }
  readonly isTty: boolean
  readonly isErrTty: boolean
  readonly env: Readonly<Record<string, string | undefined>>
}

/** `onReaderGone`: nobody reads stdout any more. */
export const processIo = (onReaderGone: () => void): Io => {
  const stdout = new Output(process.stdout, onReaderGone)
  return {
    out: (text) => stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    write: (bytes) => stdout.write(bytes),
    flushed: () => stdout.flushed(),
    stdin: () => process.stdin,
    isTty: process.stdout.isTTY === true,
    isErrTty: process.stderr.isTTY === true,
    env: process.env
  }
}

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/** Colour on a terminal only, and not where NO_COLOR is set. */
export const painted = ({ isTty, env }: Pick<Io, "isTty" | "env">, style: Style, text: string): string =>
  isTty && !env["NO_COLOR"] ? styleText(style, text, { validateStream: false }) : text

/** Lines on stderr, beside whatever is printed. */
export const warn = (io: Io, texts: ReadonlyArray<string>): void => {
  for (const text of texts) io.err(`${painted({ ...io, isTty: io.isErrTty }, "yellow", "warning")}: ${plainText(text)}`)
}

/** Says on stderr what was understood. */
export const note = (io: Io, text: string): void =>
  io.err(`${painted({ ...io, isTty: io.isErrTty }, "dim", "note")}: ${plainText(text)}`)

/** A document as JSON. On a terminal nothing in it moves the cursor; a reader of JSON finds the same there. */
export const outJson = (io: Io, document: unknown, indent?: number): void => {
  const json = JSON.stringify(document, null, indent)
  io.out(io.isTty ? plainJson(json) : json)
}

/** A table with aligned columns on a terminal, tabs between the cells elsewhere. Columns of numbers align right. */
export const table = (io: Io, head: ReadonlyArray<string>, cells: ReadonlyArray<ReadonlyArray<string>>): void => {
  const rows = cells.map((row) => row.map(plainText))
  if (!io.isTty) {
    for (const row of [head, ...rows]) io.out(row.join("\t"))
    return
  }
  // A call does not take as many arguments as a list may have rows.
  const widths = head.map((title, i) => rows.reduce((width, row) => Math.max(width, row[i]?.length ?? 0), title.length))
  const isNumber = head.map((_, i) => rows.length > 0 && rows.every((row) => /^-?[\d.,]+( \w+)?$/.test(row[i] ?? "")))
  const line = (row: ReadonlyArray<string>): string =>
    row.map((cell, i) => (isNumber[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ")
  io.out(painted(io, "bold", line(head).trimEnd()))
  for (const row of rows) io.out(line(row).trimEnd())
}

/** Names and values below each other. */
export const fields = (io: Io, pairs: ReadonlyArray<readonly [string, string]>, indent = ""): void => {
  const plain = pairs.map(([name, value]) => [plainText(name), plainText(value)] as const)
  const width = Math.max(...plain.map(([name]) => name.length))
  for (const [name, value] of plain) io.out(`${indent}${painted(io, "dim", name.padEnd(width))}  ${value}`)
}

export { bytesText, counted, durationText } from "../units.ts"
