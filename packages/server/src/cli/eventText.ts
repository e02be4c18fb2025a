import { plainText } from "../plainText.ts"
import type { EventView } from "../tools/journalTools.ts"
import type { Plain } from "../tools/plain.ts"
import type { Arguments } from "./commandLine.ts"
import { counted, painted, type Io } from "./Io.ts"

const pad = (n: number): string => String(Math.floor(Math.abs(n))).padStart(2, "0")

/** ISO 8601 in UTC, or the clock of this machine with its offset. */
export const timeText = (args: Arguments, iso: string): string => {
  if (!args.flag("local")) return iso
  const date = new Date(iso)
  const minutes = -date.getTimezoneOffset()
  const shifted = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1)
  return `${shifted}${minutes < 0 ? "-" : "+"}${pad(minutes / 60)}:${pad(minutes % 60)}`
}

export const isObject = (value: Plain | undefined): value is { readonly [name: string]: Plain } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const scalarText = (value: Plain): string => plainText(typeof value === "string" ? value : JSON.stringify(value))

/** `{bytes, base64}` is how bytes are shown. */
export const isBytes = (value: Plain): value is { readonly bytes: number; readonly base64: string } =>
  isObject(value) && Object.keys(value).length === 2 && "bytes" in value && "base64" in value

/** The fields that tell most come first, in this order; other fields follow in their own. */
const foremost = [
  "memberId",
  "clientId",
  "name",
  "topic",
  "end",
  "refused",
  "count",
  "reason",
  "detail",
  "cause",
  "generation",
  "leader"
]

const rankOf = (name: string): number => {
  const at = foremost.indexOf(name)
  return at === -1 ? foremost.length : at
}

const units: ReadonlyArray<readonly [ms: number, name: string]> = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1000, "s"],
  [1, "ms"]
]

/** `30s`, `1h 2m`: to its two largest units. */
const lengthText = (ms: number): string => {
  const parts: Array<string> = []
  let left = ms
  for (const [size, name] of units) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) parts.push(`${count}${name}`)
    if (parts.length > 0 && (parts.length === 2 || left === 0)) break
  }
  return parts.join(" ") || "0s"
}

/** A number of milliseconds under this name, as a length of time or, by its size, a moment; undefined for anything else. */
export const msText = (name: string, value: Plain): string | undefined => {
  if (typeof value !== "number" || !/[a-z]Ms$/.test(name) || value < 0 || value >= 8.64e15) return undefined
  return value >= 1e11 ? new Date(value).toISOString() : lengthText(value)
}

/** Bytes within it as their number. */
const withoutBytes = (value: Plain): Plain =>
  typeof value !== "object"
    ? value
    : JSON.parse(
        JSON.stringify(value, (_name, each: Plain) => (isBytes(each) ? `<${counted(each.bytes, "byte")}>` : each))
      )

/** Says who ended a connection: `protocol 0x90 a topic name contains a wildcard`, `keep alive 1m`. */
const endText = (end: { readonly [name: string]: Plain }): string =>
  Object.entries(end)
    .map(([name, value]) =>
      name === "reasonCode"
        ? `0x${Number(value).toString(16).padStart(2, "0")}`
        : (msText(name, value) ?? scalarText(value))
    )
    .join(" ")

/** Says what was refused of a client: `20 × 0x97 (the disk is almost full), such as sensors/a`. */
const refusedText = (refused: ReadonlyArray<Plain>): string =>
  refused
    .filter(isObject)
    .map(({ code, reason, count, topic = null }) => {
      const example = topic === null ? "" : `, such as ${scalarText(topic)}`
      return `${String(count)} × ${scalarText(code ?? "?")} (${scalarText(reason ?? "")})${example}`
    })
    .join("; ")

/** `sessionTimeout=30s` of `sessionTimeoutMs`, `at=2026-…` of `atMs`. */
const fieldText = (name: string, value: Plain): string => {
  if (isBytes(value)) return `${name}=<${counted(value.bytes, "byte")}>`
  if (name === "end" && isObject(value)) return `end=${endText(value)}`
  if (name === "refused" && Array.isArray(value)) return refusedText(value as ReadonlyArray<Plain>)
  const text = msText(name, value)
  return text === undefined ? `${name}=${scalarText(withoutBytes(value))}` : `${name.slice(0, -"Ms".length)}=${text}`
}

const summaryMax = 120

/** Says on one line what happened; fields that are not there are left out. */
export const summaryText = (event: Plain): string => {
  if (!isObject(event)) return scalarText(event)
  if (event["_tag"] === "RecordsAppended") return `offsets ${event["baseOffset"]} to ${event["lastOffset"]}`
  const fields = Object.entries(event).filter(([name, value]) => name !== "_tag" && value !== null && value !== "")
  fields.sort(([a], [b]) => rankOf(a) - rankOf(b))
  return fields.map(([name, value]) => fieldText(name, value)).join(" ")
}

const cut = (text: string): string => (text.length > summaryMax ? `${text.slice(0, summaryMax - 1)}…` : text)

const uuid = /\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi

/** Ids that nobody reads are cut on a terminal; elsewhere they may be looked for. */
export const shortened = (io: Io, text: string): string => (io.isTty ? text.replace(uuid, "$1…") : text)

const causeText = ({ cause }: EventView): string =>
  [cause.seq === undefined ? "" : `#${cause.seq}`, cause.origin ?? ""].filter(Boolean).join(" ")

/** `2026-11-22 14:14:49.737`: as short as it can be given back to `--at`. */
const shortTime = (text: string): string => text.replace("T", " ").replace(/Z$/, "")

/** A moment of an answer: short for people on a terminal, whole elsewhere. */
export const momentText = (args: Arguments, io: Io, iso: string): string => {
  const text = timeText(args, iso)
  return io.isTty ? shortTime(text) : text
}

/** An event as a line: for people on a terminal, with tabs between the columns elsewhere. */
export const eventLine = (args: Arguments, io: Io, event: EventView): string => {
  const time = timeText(args, event.time)
  const summary = cut(shortened(io, summaryText(event.event)))
  const cause = causeText(event) === "" ? "" : `← ${plainText(shortened(io, causeText(event)))}`
  if (!io.isTty) {
    const { seq, actor, type } = event
    return [String(seq), time, plainText(actor), type, summary, cause].filter(Boolean).join("\t")
  }
  const columns = [
    painted(io, "dim", String(event.seq).padStart(8)),
    painted(io, "dim", shortTime(time)),
    painted(io, "bold", event.type.padEnd(18)),
    plainText(shortened(io, event.actor)).padEnd(20),
    summary,
    painted(io, "dim", cause)
  ]
  return columns.join(" ").trimEnd()
}
