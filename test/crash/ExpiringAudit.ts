import { createHash } from "node:crypto"
import type { KafkaRecord } from "../support/kafkaRecord.ts"
import type { Acknowledged, Outgoing } from "./KafkaProducer.ts"

/** What is told of a record by its id: `name-n-sentMs`. */
export const sentMsOf = (id: string): number => Number(id.slice(id.lastIndexOf("-") + 1))

const valueBytesMin = 1000
const valueBytesMax = 8000

/** Bytes that do not compress, and that only this id has. */
const valueOf = (id: string): Buffer => {
  const hash = createHash("shake256", { outputLength: valueBytesMax }).update(id).digest()
  return hash.subarray(0, valueBytesMin + (hash.readUInt16LE(0) % (valueBytesMax - valueBytesMin)))
}

/** A producer's n-th batch of samples. */
export const samplesOf = (n: number): ReadonlyArray<Outgoing> => {
  const sentMs = Date.now()
  return Array.from({ length: 4 + (n % 8) }, (_, i) => {
    const id = `sample-${n}.${i}-${sentMs}`
    return { id, value: valueOf(id) }
  })
}

/** All that can be read of a partition, in the order of its offsets. */
export type ReadPartition = (partition: number) => Promise<Array<KafkaRecord>>

/** One partition, as far as it may still be read. */
interface Partition {
  start: number
  /** Ids of acknowledged records, by offset. */
  readonly told: Map<number, string>
  /** Offsets of what was read, by id. */
  readonly read: Map<string, number>
}

/**
 * A stream whose records expire by age, read as a whole after each restart: its log start never goes back, offsets are
 * dense from there on, and no acknowledged record is gone that is younger than the stream's retention.
 */
export class ExpiringAudit {
  expired = 0
  readonly #stream: string
  readonly #readPartition: ReadPartition
  readonly #retentionMs: number
  readonly #faults: Array<string>
  readonly #partitions: ReadonlyArray<Partition>

  constructor(
    stream: string,
    partitions: number,
    retentionMs: number,
    faults: Array<string>,
    readPartition: ReadPartition
  ) {
    this.#stream = stream
    this.#readPartition = readPartition
    this.#retentionMs = retentionMs
    this.#faults = faults
    this.#partitions = Array.from({ length: partitions }, () => ({ start: 0, told: new Map(), read: new Map() }))
  }

  /** Takes the acknowledgements out of the list. `isLost`: the newest record is left out of what was read. */
  async check(acknowledged: Array<Acknowledged>, isLost: boolean): Promise<void> {
    for (const { partition, baseOffset, ids } of acknowledged.splice(0)) {
      for (const [i, id] of ids.entries()) this.#partitions[partition]!.told.set(baseOffset + i, id)
    }
    await Promise.all(this.#partitions.map((_, partition) => this.#read(partition, isLost)))
  }

  async #read(index: number, isLost: boolean): Promise<void> {
    const partition = this.#partitions[index]!
    const records = await this.#readFromStart(index)
    const readMs = Date.now()
    const newest = Math.max(-1, ...partition.told.keys())
    const found = isLost ? records.filter(({ offset }) => offset !== newest) : records
    const start = found[0]?.offset ?? Math.max(partition.start, newest + 1)
    if (start < partition.start) this.#fault(index, `the log start went back from ${partition.start} to ${start}`)
    partition.start = start
    for (const [i, record] of found.entries()) {
      if (record.offset !== start + i) this.#fault(index, `offset ${record.offset} where ${start + i} was next`)
      this.#checkRecord(index, record)
    }
    const end = start + found.length
    for (const [offset, id] of partition.told) {
      if (offset >= end) this.#fault(index, `${id} was acknowledged at ${offset}, the log ends at ${end}`)
      if (offset >= start) continue
      const ageMs = readMs - sentMsOf(id)
      if (ageMs < this.#retentionMs) this.#fault(index, `${id} at ${offset} is gone after ${ageMs} ms`)
      partition.told.delete(offset)
      this.expired++
    }
    for (const [id, offset] of partition.read) if (offset < start) partition.read.delete(id)
  }

  /**
   * A log start that overtakes a reader has him jump to it: what may still be read begins there. A hole is no such jump,
   * since a second reader begins before it.
   */
  async #readFromStart(index: number): Promise<Array<KafkaRecord>> {
    const records = await this.#readPartition(index)
    const jump = records.findLastIndex(({ offset }, i) => i > 0 && offset !== records[i - 1]!.offset + 1)
    if (jump === -1) return records
    const [first] = await this.#readPartition(index)
    return first === undefined || first.offset >= records[jump]!.offset ? records.slice(jump) : records
  }

  #checkRecord(index: number, { offset, key, value }: KafkaRecord): void {
    const { told, read } = this.#partitions[index]!
    const id = key?.toString("utf8") ?? "a record without key"
    const expected = told.get(offset)
    if (expected !== undefined && id !== expected)
      this.#fault(index, `${id} at ${offset}, ${expected} was acknowledged`)
    if (value === null || !value.equals(valueOf(id))) this.#fault(index, `${id} at ${offset} is not what was sent`)
    const before = read.get(id)
    if (before !== undefined && before !== offset) this.#fault(index, `${id} is at ${before} and at ${offset}`)
    read.set(id, offset)
  }

  #fault(partition: number, what: string): void {
    this.#faults.push(`${this.#stream}/${partition}: ${what}`)
  }
}
