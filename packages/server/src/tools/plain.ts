/** A value as JSON can hold it. */
export type Plain = null | boolean | number | string | ReadonlyArray<Plain> | { readonly [name: string]: Plain }

const bytesShown = 96
const depthMax = 32

/** Bytes as base64 with their length, cut after `bytesShown`. */
export const plainBytes = (bytes: Uint8Array): Plain => {
  const shown = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, bytesShown)).toString("base64")
  return { bytes: bytes.length, base64: bytes.length > bytesShown ? `${shown}…` : shown }
}

/** Maps become lists of pairs, bytes base64, what is undefined goes. */
export const plain = (value: unknown, depth = 0): Plain => {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value)
  if (typeof value === "bigint") return String(value)
  if (depth >= depthMax) return "…"
  if (value instanceof Uint8Array) return plainBytes(value)
  if (value instanceof Map) return Array.from(value, (pair) => plain(pair, depth + 1))
  if (value instanceof Set) return Array.from(value, (each) => plain(each, depth + 1))
  if (Array.isArray(value)) return value.map((each) => plain(each, depth + 1))
  if (typeof value !== "object") return null
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  return Object.fromEntries(entries.map(([name, each]) => [name, plain(each, depth + 1)]))
}

export const isoTime = (timeMs: number): string => new Date(timeMs).toISOString()
