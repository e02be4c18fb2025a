import { InvalidRecord, RecordReader } from "@logbrook/core/Record"
import * as Batch from "@logbrook/core/RecordBatch"
import { CliError, exitCodes } from "../CliError.ts"
import type { ShownRecord } from "../ShownRecord.ts"
import { nameOf, type TopicPartition } from "./KafkaClient.ts"

/** A transaction that was aborted: the records of its producer from this offset on, up to its marker, do not count. */
export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

/** A control record's key is its version and its type: 0 is abort. */
const isAbortMarker = (batch: Uint8Array): boolean =>
  Batch.withStoredRecordsOf(batch, (records) => {
    const reader = new RecordReader().reset(records)
    return reader.next() && reader.key()?.[3] === 0
  })

const copyOf = (bytes: Uint8Array | null): Buffer | null => (bytes === null ? null : Buffer.from(bytes))

const recordsOf = (batch: Uint8Array, { topic, partition }: TopicPartition, from: number): Array<ShownRecord> =>
  Batch.withStoredRecordsOf(batch, (records) => {
    const found: Array<ShownRecord> = []
    const reader = new RecordReader().reset(records)
    const [baseOffset, baseTimestamp] = [Batch.baseOffset(batch), Batch.baseTimestamp(batch)]
    const appendedMs = Batch.isLogAppendTime(batch) ? Batch.maxTimestamp(batch) : undefined
    while (reader.next()) {
      const offset = baseOffset + reader.offsetDelta
      if (offset < from) continue
      found.push({
        topic,
        partition,
        offset,
        timestampMs: appendedMs ?? baseTimestamp + reader.timestampDelta,
        key: copyOf(reader.key()),
        value: copyOf(reader.value()),
        headers: reader.headers().map(([name, value]) => [Buffer.from(name).toString("utf8"), copyOf(value)]),
        more: {}
      })
    }
    return found
  })

/** Where each batch of an answer lies; the last one may be cut off. */
const batchesOf = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const found: Array<Uint8Array> = []
  let at = 0
  while (bytes.length - at >= Batch.batchHeaderBytes && Batch.batchBytes(bytes, at) <= bytes.length - at) {
    found.push(bytes.subarray(at, at + Batch.batchBytes(bytes, at)))
    at += Batch.batchBytes(bytes, at)
  }
  return found
}

/** Reads what was committed of an answer, batch by batch. */
export class CommittedRecords {
  readonly #place: TopicPartition
  /** By first offset. */
  readonly #aborted: Array<AbortedTransaction>
  /** Producers whose transaction was aborted, and whose marker has not come. */
  readonly #open = new Set<number>()
  /** The next offset to fetch. */
  position: number

  constructor(place: TopicPartition, position: number, aborted: ReadonlyArray<AbortedTransaction>) {
    this.#place = place
    this.#aborted = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset)
    this.position = position
  }

  /** Throws `CliError` "E_CORRUPT" for bytes that are no records. */
  read(bytes: Uint8Array): ReadonlyArray<ShownRecord> {
    try {
      return batchesOf(bytes).flatMap((batch) => this.#readBatch(batch))
    } catch (error) {
      if (!(error instanceof Batch.InvalidBatch || error instanceof InvalidRecord)) throw error
      const what = `${nameOf(this.#place)} from offset ${this.position} on`
      throw new CliError(exitCodes.failure, "E_CORRUPT", `${what}: ${error.message}`)
    }
  }

  #readBatch(batch: Uint8Array): ReadonlyArray<ShownRecord> {
    const lastOffset = Batch.lastOffset(batch)
    const producerId = Batch.producerId(batch)
    while (this.#aborted[0] !== undefined && this.#aborted[0].firstOffset <= lastOffset) {
      this.#open.add(this.#aborted.shift()!.producerId)
    }
    const isAborted = Batch.isTransactional(batch) && this.#open.has(producerId)
    const from = this.position
    this.position = Math.max(from, lastOffset + 1)
    if (Batch.isControl(batch)) {
      if (isAbortMarker(batch)) this.#open.delete(producerId)
      return []
    }
    return isAborted ? [] : recordsOf(batch, this.#place, from)
  }
}
