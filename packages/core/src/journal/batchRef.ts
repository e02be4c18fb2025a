import type { ByteReader, ByteWriter } from "./Bytes.ts"
import type { BatchRef } from "./Frame.ts"

const flagOwnValue = 1
const flagVerbatim = 2
const flagProducer = 4

/** A reference as an entry of a frame holds it; whether its records lie in a chunk, only the frame's head tells. */
export const writeRef = (entries: ByteWriter, ref: BatchRef): void => {
  const { producer } = ref
  const isOwnValue = ref.place === "value"
  entries.u8((isOwnValue ? flagOwnValue : 0) | (ref.verbatim ? flagVerbatim : 0) | (producer ? flagProducer : 0))
  entries.varint(ref.logId)
  entries.varint(ref.baseOffset)
  entries.varint(ref.count)
  entries.i64(ref.maxTimestampMs)
  entries.i64(ref.firstTimestampMs)
  entries.varint(ref.byteLength)
  entries.u32(ref.crc)
  entries.varint(ref.chunk)
  entries.varint(ref.position)
  if (producer === undefined) return
  entries.i64(producer.id)
  entries.u16(producer.epoch)
  entries.u32(producer.baseSequence)
}

export const readRef = (reader: ByteReader): BatchRef => {
  const flags = reader.u8()
  const ownValue = (flags & flagOwnValue) !== 0
  const logId = reader.varint()
  const baseOffset = reader.varint()
  const count = reader.varint()
  const maxTimestampMs = reader.i64()
  const firstTimestampMs = reader.i64()
  const byteLength = reader.varint()
  const crc = reader.u32()
  const chunk = reader.varint()
  const position = reader.varint()
  const producer =
    (flags & flagProducer) === 0 ? undefined : { id: reader.i64(), epoch: reader.u16(), baseSequence: reader.u32() }
  return {
    logId,
    baseOffset,
    count,
    firstTimestampMs,
    maxTimestampMs,
    byteLength,
    crc,
    place: ownValue ? "value" : "frame",
    chunk,
    position,
    verbatim: (flags & flagVerbatim) !== 0,
    producer
  }
}
