import { compress } from "@logbrook/core/Compression"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { type BatchFields, buildBatch } from "@logbrook/core/RecordBatch"
import type { Side } from "./Side.ts"

/** Topics of most families. */
export const plain = "plain"
export const other = "other"
/** No topic has this name. */
export const nowhere = "nowhere"
/** A round time, which both servers take for some minutes ago. */
export const beganMs = Math.floor((Date.now() - 600_000) / 1000) * 1000

/** Records with one key, a millisecond behind each other, compressed if there is a codec. */
export const batch = (
  values: ReadonlyArray<string>,
  { firstMs = beganMs, ...fields }: Partial<BatchFields> & { readonly firstMs?: number } = {}
): Uint8Array => {
  const { codec = "none" } = fields
  const builder = new RecordsBuilder(100_000)
  values.forEach((value, i) => builder.append(Buffer.from("k"), Buffer.from(value), noHeaders, firstMs + i))
  const times = { baseTimestampMs: builder.firstTimestampMs, maxTimestampMs: builder.maxTimestampMs }
  const own = { baseOffset: 0, partitionLeaderEpoch: -1, count: values.length, ...times }
  return buildBatch({ ...own, ...fields }, codec === "none" ? builder.bytes.slice() : compress(codec, builder.bytes))
}

export const spoilt = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy
}

/** A topic as the version names it. */
export const named = (side: Side, version: number, byIdSince: number, topic: string) =>
  version >= byIdSince ? { topicId: side.idOf(topic) } : { name: topic }

export const topicOf = (
  name: string,
  numPartitions: number,
  configs: ReadonlyArray<readonly [string, string]> = []
) => ({
  name,
  numPartitions,
  replicationFactor: 1,
  assignments: [],
  configs: configs.map(([key, value]) => ({ name: key, value }))
})
