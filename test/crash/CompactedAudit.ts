import type { KafkaRecord } from "../support/kafkaRecord.ts"
import { sentMsOf, type ReadPartition } from "./ExpiringAudit.ts"
import type { Acknowledged, Outgoing } from "./KafkaProducer.ts"

const keys = 300
const tombstoneEvery = 13
const batchRecords = 12
const valueBytesMax = 300

/** An id is `version-sentMs`; versions rise with what the producer sends, over all keys. */
const versionOf = (id: string): number => Number(id.slice(0, id.indexOf("-")))
const isTombstone = (version: number): boolean => version % tombstoneEvery === 0
/** Scattered, so that every batch has keys that were set long ago and just now. */
const keyOf = (version: number): string => `key-${(Math.imul(version, 0x9e3779b1) >>> 8) % keys}`

const valueOf = (id: string): Buffer | null => {
  const version = versionOf(id)
  return isTombstone(version) ? null : Buffer.from(`${id} ${"x".repeat(version % valueBytesMax)}`)
}

/** A producer's n-th batch of values. */
export const valuesOf = (n: number): ReadonlyArray<Outgoing> => {
  const sentMs = Date.now()
  return Array.from({ length: batchRecords }, (_, i) => {
    const version = 1 + n * batchRecords + i
    const id = `${version}-${sentMs}`
    return { id, key: keyOf(version), value: valueOf(id) }
  })
}

export interface CompactedRules {
  readonly deleteRetentionMs: number
  /** Infinity: nothing expires by age. */
  readonly retentionMs: number
}

interface Told {
  readonly id: string
  readonly offset: number
}

interface Partition {
  /** Ids of acknowledged records, by offset. */
  readonly told: Map<number, string>
  /** By key, the newest that is acknowledged. */
  readonly newest: Map<string, Told>
  /** Offsets that the last look found. */
  read: Set<number>
  /** One after the last of them. */
  end: number
}

/**
 * A compacted stream, read as a whole after each restart: the newest acknowledged value of each key is there, no older one
 * comes behind a newer one, what is there is at the offset that was told, and what was compacted does not come back.
 */
export class CompactedAudit {
  /** Acknowledged records that the last look did not find any more. */
  compacted = 0
  readonly #stream: string
  readonly #readPartition: ReadPartition
  readonly #rules: CompactedRules
  readonly #faults: Array<string>
  readonly #partitions: ReadonlyArray<Partition>

  constructor(
    stream: string,
    partitions: number,
    rules: CompactedRules,
    faults: Array<string>,
    readPartition: ReadPartition
  ) {
    this.#stream = stream
    this.#readPartition = readPartition
    this.#rules = rules
    this.#faults = faults
    this.#partitions = Array.from({ length: partitions }, () => ({
      told: new Map(),
      newest: new Map(),
      read: new Set(),
      end: 0
    }))
  }

  /** Takes the acknowledgements out of the list. `isLost`: the newest value of one key is left out of what was read. */
  async check(acknowledged: Array<Acknowledged>, isLost: boolean): Promise<void> {
    for (const { partition, baseOffset, ids } of acknowledged.splice(0)) {
      const { told, newest } = this.#partitions[partition]!
      for (const [i, id] of ids.entries()) {
        told.set(baseOffset + i, id)
        newest.set(keyOf(versionOf(id)), { id, offset: baseOffset + i })
      }
    }
    this.compacted = 0
    await Promise.all(this.#partitions.map((_, partition) => this.#look(partition, isLost)))
  }

  async #look(index: number, isLost: boolean): Promise<void> {
    const partition = this.#partitions[index]!
    const { newest, told } = partition
    const records = await this.#readPartition(index)
    const readMs = Date.now()
    const lost = isLost ? [...newest.values()].find(({ id }) => !isTombstone(versionOf(id))) : undefined
    const found = records.filter(({ offset }) => offset !== lost?.offset)
    const last = this.#checkRecords(index, found)
    for (const [key, { id, offset }] of newest) this.#checkNewest(index, last.get(key), { id, offset }, readMs)
    const read = new Set(found.map(({ offset }) => offset))
    const back = [...read].find((offset) => offset < partition.end && !partition.read.has(offset))
    if (back !== undefined) this.#fault(index, `what was compacted at ${back} is back`)
    partition.read = read
    partition.end = Math.max(partition.end, (found.at(-1)?.offset ?? -1) + 1)
    for (const offset of told.keys()) if (!read.has(offset)) this.compacted++
  }

  /** By key, the last version. */
  #checkRecords(index: number, records: ReadonlyArray<KafkaRecord>): ReadonlyMap<string, number> {
    const { told } = this.#partitions[index]!
    const last = new Map<string, number>()
    let before = -1
    for (const { offset, key, value, headers } of records) {
      if (offset <= before) this.#fault(index, `offset ${offset} behind ${before}`)
      before = offset
      const id = headers?.find(([name]) => name === "id")?.[1] ?? "a record without id"
      const version = versionOf(id)
      const expected = told.get(offset)
      if (expected !== undefined && id !== expected)
        this.#fault(index, `${id} at ${offset}, ${expected} was acknowledged`)
      const wanted = valueOf(id)
      const isSent = wanted === null ? value === null : value?.equals(wanted) === true
      const name = key?.toString("utf8")
      if (name !== keyOf(version) || !isSent) this.#fault(index, `${id} of ${name} at ${offset} is not what was sent`)
      const older = last.get(keyOf(version)) ?? 0
      if (version <= older) this.#fault(index, `${name} is ${version} at ${offset}, behind ${older}`)
      last.set(keyOf(version), version)
    }
    return last
  }

  #checkNewest(index: number, found: number | undefined, { id, offset }: Told, readMs: number): void {
    const version = versionOf(id)
    if (found !== undefined && found >= version) return
    const ageMs = readMs - sentMsOf(id)
    const { deleteRetentionMs, retentionMs } = this.#rules
    const mayBeGone = ageMs >= (isTombstone(version) ? Math.min(deleteRetentionMs, retentionMs) : retentionMs)
    if (found === undefined && mayBeGone) return
    const instead = found === undefined ? "gone" : `${found} instead`
    this.#fault(index, `${keyOf(version)} is ${instead}: ${id} was acknowledged at ${offset}, ${ageMs} ms ago`)
  }

  #fault(partition: number, what: string): void {
    this.#faults.push(`${this.#stream}/${partition}: ${what}`)
  }
}
