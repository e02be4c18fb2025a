import type { RecordReader } from "@logbrook/core/Record"
import { hash32 } from "./Random.ts"

/**
 * What messages say: `<sender>:<number>` and as much behind it as the id alone decides, so that whoever reads a message
 * can tell that it is whole.
 */
export const payloadOf = (sender: string, n: number, bytesMax: number): Buffer => {
  const id = `${sender}:${n}`
  const hash = hash32(id)
  // Long ones are rare: most of a load is small messages.
  const length = hash % 11 === 0 ? hash % (bytesMax + 1) : hash % (Math.min(bytesMax, 40) + 1)
  return Buffer.from(`${id}|${filler(hash, length)}`, "latin1")
}

const filler = (hash: number, length: number): string =>
  String.fromCharCode(97 + (hash % 26), 97 + ((hash >>> 8) % 26))
    .repeat(Math.ceil(length / 2))
    .slice(0, length)

/** The id of a payload; undefined if it is not one of ours, or not whole. `bytesMax` needs not be known. */
export const idOf = (payload: Uint8Array): string | undefined => {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("latin1")
  const end = text.indexOf("|")
  if (end < 0) return undefined
  const id = text.slice(0, end)
  return text.slice(end + 1) === filler(hash32(id), text.length - end - 1) ? id : undefined
}

/** Of a message without a value: the name of the header, or user property, that has its payload. */
export const idHeader = "id"

/** The id of a stored message; "" for one that has none, undefined for one that is not whole. */
export const idOfRecord = (record: RecordReader): string | undefined => {
  const value = record.value()
  if (value !== null && value.length > 0) return idOf(value)
  const header = record.headers().find(([name]) => Buffer.from(name).toString("latin1") === idHeader)
  return header?.[1] == null ? "" : idOf(header[1])
}

/** As `idOf`, of a will, which has a sender's name and the number of its connection. */
export const senderOf = (id: string): string => id.slice(0, id.lastIndexOf(":"))

export const numberOf = (id: string): number => Number(id.slice(id.lastIndexOf(":") + 1))
