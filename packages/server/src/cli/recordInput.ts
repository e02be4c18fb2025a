import type { RecordHeader } from "@logbrook/core/Record"

/** A record as it is given; what is not is the command's to choose. */
export interface GivenRecord {
  readonly partition: number | undefined
  readonly timestampMs: number | undefined
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: ReadonlyArray<RecordHeader>
}

/** Input that is no record, with what is wrong. */
export class InputError extends Error {}

const wrong = (line: Buffer, why: string): InputError =>
  new InputError(`"${line.subarray(0, 40).toString("utf8")}" is no record: ${why}`)

/** Bytes under a name, as text, or in base64 under the name with `Base64` behind it; undefined: there are none. */
const bytesOf = (from: Readonly<Record<string, unknown>>, name: string, line: Buffer): Buffer | null | undefined => {
  const [text, encoded] = [from[name], from[`${name}Base64`]]
  if (typeof encoded === "string") return Buffer.from(encoded, "base64")
  if (text === undefined || text === null) return text
  if (typeof text === "string") return Buffer.from(text)
  throw wrong(line, `${name} is no text`)
}

const numberOf = (from: Readonly<Record<string, unknown>>, name: string, line: Buffer): number | undefined => {
  const value = from[name]
  if (value === undefined) return undefined
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
  throw wrong(line, `${name} is no whole number`)
}

const objectOf = (value: unknown, line: Buffer): Readonly<Record<string, unknown>> => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw wrong(line, "it is no JSON object")
}

const headersOf = (value: unknown, line: Buffer): ReadonlyArray<RecordHeader> => {
  if (!Array.isArray(value)) throw wrong(line, "headers is no list")
  return value.map((each): RecordHeader => {
    const header = objectOf(each, line)
    if (typeof header["name"] !== "string") throw wrong(line, "a header has no name")
    return [Buffer.from(header["name"]), bytesOf(header, "value", line) ?? null]
  })
}

/** A line as `consume --json` prints it: `value`, `key`, `headers`, `partition` and `timestampMs`; `rest` has what it lacks. Throws `InputError`. */
export const parseRecord = (line: Buffer, rest: Omit<GivenRecord, "value">): GivenRecord => {
  let read: unknown
  try {
    read = JSON.parse(line.toString("utf8"))
  } catch {
    throw wrong(line, "it is no JSON")
  }
  const from = objectOf(read, line)
  const [key, value] = [bytesOf(from, "key", line), bytesOf(from, "value", line)]
  if (value === undefined) throw wrong(line, "it has no value")
  return {
    key: key === undefined ? rest.key : key,
    value,
    partition: rest.partition ?? numberOf(from, "partition", line),
    // A record of a Kafka client that gave it no time has -1, and is copied so.
    timestampMs: from["timestampMs"] === -1 ? -1 : (numberOf(from, "timestampMs", line) ?? rest.timestampMs),
    headers: from["headers"] === undefined ? rest.headers : headersOf(from["headers"], line)
  }
}
