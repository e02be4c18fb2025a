import type { Marker } from "../transaction/Marker.ts"
import type { ByteReader, ByteWriter } from "./Bytes.ts"

export interface Producer {
  readonly id: number
  readonly epoch: number
  readonly baseSequence: number
}

/** `run`: the segment was settled, and a run of the log holds the records among others. */
export type Place = "frame" | "chunk" | "value" | "run"

/** A partition's event: where its records are and what they cover. */
export interface BatchRef {
  readonly logId: number
  readonly baseOffset: number
  readonly count: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly byteLength: number
  readonly crc: number
  /** In the frame, in chunk `chunk` of its commit, a value of its own, or in a run of its segment. */
  readonly place: Place
  readonly chunk: number
  /** In the frame (absolute) or in the chunk. */
  readonly position: number
  /** As the producer sent it, with its batch header; otherwise records only, unless it is a value of its own. */
  readonly verbatim: boolean
  readonly producer: Producer | undefined
  /** The batch belongs to a transaction of its producer. */
  readonly isTransactional?: true | undefined
  /** It is no batch of records, but the end of a transaction. */
  readonly marker?: Marker | undefined
  /** All records of the batch have its time, `maxTimestampMs`. */
  readonly isLogAppendTime?: true | undefined
}

const flagOwnValue = 1
const flagVerbatim = 2
const flagProducer = 4
const flagTransactional = 8
const flagCommit = 16
const flagAbort = 32
const flagLogAppendTime = 64

const flagOf = ({ outcome }: Marker): number => (outcome === "commit" ? flagCommit : flagAbort)

/** A reference as an entry of a frame holds it; whether its records lie in a chunk, only the frame's head tells. */
export const writeRef = (entries: ByteWriter, ref: BatchRef): void => {
  const { producer, marker } = ref
  const isOwnValue = ref.place === "value"
  entries.u8(
    (isOwnValue ? flagOwnValue : 0) |
      (ref.verbatim ? flagVerbatim : 0) |
      (producer ? flagProducer : 0) |
      (ref.isTransactional === true ? flagTransactional : 0) |
      (marker ? flagOf(marker) : 0) |
      (ref.isLogAppendTime === true ? flagLogAppendTime : 0)
  )
  entries.varint(ref.logId)
  entries.varint(ref.baseOffset)
  entries.varint(ref.count)
  entries.i64(ref.maxTimestampMs)
  entries.i64(ref.firstTimestampMs)
  entries.varint(ref.byteLength)
  entries.u32(ref.crc)
  entries.varint(ref.chunk)
  entries.varint(ref.position)
  if (producer !== undefined) {
    entries.i64(producer.id)
    entries.u16(producer.epoch)
    entries.u32(producer.baseSequence)
  }
  if (marker === undefined) return
  entries.i64(marker.producerId)
  entries.u16(marker.producerEpoch)
  entries.u32(marker.coordinatorEpoch >>> 0)
}

const readMarker = (reader: ByteReader, flags: number): Marker | undefined => {
  if ((flags & (flagCommit | flagAbort)) === 0) return undefined
  return {
    producerId: reader.i64(),
    producerEpoch: reader.u16(),
    coordinatorEpoch: reader.u32() | 0,
    outcome: (flags & flagCommit) === 0 ? "abort" : "commit"
  }
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
  const marker = readMarker(reader, flags)
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
    producer,
    isTransactional: (flags & flagTransactional) === 0 ? undefined : true,
    marker,
    isLogAppendTime: (flags & flagLogAppendTime) === 0 ? undefined : true
  }
}
