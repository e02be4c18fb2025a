import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { Side } from "./Side.ts"

/** A value that the two servers have of a field. */
export interface Difference {
  /** Names of fields with dots between them; an array's elements have `[]`. */
  readonly path: string
  readonly kafka: string
  readonly logbrook: string
}

const epochFields: ReadonlySet<string> = new Set(["leaderEpoch", "currentLeaderEpoch", "committedLeaderEpoch"])
/** They are for people, and each server has its own words. */
const texts: ReadonlySet<string> = new Set(["errorMessage", "batchIndexErrorMessage"])
const ownNames: ReadonlySet<string> = new Set(
  "host port clusterId producerId memberId leader logDir totalBytes usableBytes finalizedFeaturesEpoch".split(" ")
)
const timesOfDay = /time(stamp)?(ms)?$/i
const startedMs = Date.now()
const numberMax = 2 ** 53

const coordinatorEpochBytes = 4

/** A marker's key, and its value without the epoch of the coordinator that wrote it. */
const markerText = (body: Uint8Array): string => {
  const texts: Array<string> = []
  iterate(body, 1, (record) => {
    const [key, value] = [record.key(), record.value()].map((bytes) => Buffer.from(bytes ?? []))
    texts.push(`${key!.toString("hex")}: ${value!.toString("hex", 0, value!.length - coordinatorEpochBytes)}…`)
  })
  return texts.join()
}

/** A batch as a reader sees it, without the leader's epoch, and without the time of day of a marker. */
const batchText = (side: Side, records: Uint8Array, at: number, length: number): string => {
  const producerId = RecordBatch.producerId(records, at)
  const fields = {
    offsets: `${RecordBatch.baseOffset(records, at)}-${RecordBatch.lastOffset(records, at)}`,
    attributes: RecordBatch.attributes(records, at),
    count: RecordBatch.count(records, at),
    producer: side.given.get(producerId) ?? producerId,
    epoch: RecordBatch.producerEpoch(records, at),
    sequence: RecordBatch.baseSequence(records, at)
  }
  const body = records.subarray(at + RecordBatch.batchHeaderBytes, at + length)
  if (RecordBatch.isControl(records, at)) return JSON.stringify({ ...fields, marker: markerText(body) })
  const to = RecordBatch.maxTimestamp(records, at)
  const times = {
    from: RecordBatch.baseTimestamp(records, at),
    to: RecordBatch.isLogAppendTime(records, at) && to >= startedMs ? "a time of this run" : to
  }
  // Each server compresses with its own library.
  const plain = RecordBatch.storedRecordsOf(records.subarray(at, at + length))
  const value = Buffer.from(plain).toString("latin1")
  return JSON.stringify({ ...fields, ...times, value })
}

const batchTexts = (side: Side, records: Uint8Array): ReadonlyArray<string> => {
  const found: Array<string> = []
  RecordBatch.batchesOf(records, (at, length) => found.push(batchText(side, records, at, length)))
  return found
}

/** Arrays are compared as sets: where their order means something, a test of its own looks at it. */
const sorted = (values: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  values
    .map((value) => [JSON.stringify(value), value] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, value]) => value)

/** The partitions of a Fetch, each with its topic: Kafka answers those with some errors behind the others. */
const partitionsOf = (topics: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  topics.flatMap((each) => {
    const { partitions, ...topic } = each as { readonly partitions?: ReadonlyArray<object> }
    return partitions?.map((partition) => ({ ...topic, ...partition })) ?? [topic]
  })

/** Of a field whose value has no fields of its own. */
const normalLeaf = (side: Side, value: unknown, name: string): unknown => {
  if (typeof value === "number" && value >= numberMax) return "the largest int64"
  if (timesOfDay.test(name) && typeof value === "number" && value >= startedMs) return "a time of this run"
  if (epochFields.has(name) && value === side.leaderEpoch) return "the leader epoch"
  if (name === "sessionId" && typeof value === "number" && value > 0) return "a session"
  if (name === "topicId") return [...side.topicIds].find(([, id]) => id === value)?.[0] ?? value
  if (texts.has(name)) return typeof value === "string" && value !== "" ? "a text" : "none"
  if (name === "coordinatorEpoch" && value !== -1) return "a coordinator's epoch"
  if (ownNames.has(name) && value !== -1 && value !== "") {
    return side.given.get(value as number | string) ?? `a ${name}`
  }
  return value
}

/** Arrays of which each element has a name, by the array's: a difference tells which. */
const keys: ReadonlyMap<string, string> = new Map([
  ["configs", "name"],
  ["groups", "groupId"]
])

/** Undefined: two have the same name. */
const byKey = (side: Side, elements: ReadonlyArray<Record<string, unknown>>, key: string): unknown => {
  const named = elements.map((each) => [String(each[key]), normal(side, each)] as const)
  const fields = Object.fromEntries(named)
  return Object.keys(fields).length === elements.length ? fields : undefined
}

/** Without what must differ between any two servers: addresses, ids by chance, epochs, words for people. */
export const normal = (side: Side, value: unknown, name = ""): unknown => {
  if (value instanceof Uint8Array) {
    return name === "records" ? batchTexts(side, value) : Buffer.from(value).toString("hex")
  }
  if (Array.isArray(value)) {
    const key = keys.get(name)
    const fields = key === undefined ? undefined : byKey(side, value, key)
    if (fields !== undefined) return fields
    const elements: ReadonlyArray<unknown> = name === "responses" ? partitionsOf(value) : value
    return sorted(elements.map((each) => normal(side, each, name)))
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).filter(([field]) => field !== "throttleTimeMs")
    return Object.fromEntries(fields.map(([field, own]) => [field, normal(side, own, field)]))
  }
  return normalLeaf(side, value, name)
}

/** Where two normal values differ. */
export const differences = (kafka: unknown, logbrook: unknown, path = ""): ReadonlyArray<Difference> => {
  if (Array.isArray(kafka) && Array.isArray(logbrook) && kafka.length === logbrook.length) {
    return kafka.flatMap((each, i) => differences(each, logbrook[i], `${path}[]`))
  }
  const areObjects = [kafka, logbrook].every(
    (each) => typeof each === "object" && each !== null && !Array.isArray(each)
  )
  if (areObjects) {
    const [theirs, ours] = [kafka, logbrook] as [Record<string, unknown>, Record<string, unknown>]
    const names = new Set([...Object.keys(theirs), ...Object.keys(ours)])
    return [...names].flatMap((name) => differences(theirs[name], ours[name], path === "" ? name : `${path}.${name}`))
  }
  const [theirs, ours] = [JSON.stringify(kafka) ?? "missing", JSON.stringify(logbrook) ?? "missing"]
  return theirs === ours ? [] : [{ path, kafka: theirs, logbrook: ours }]
}
