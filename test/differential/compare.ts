import { baseOffset, batchesOf, lastOffset } from "@logbrook/core/RecordBatch"
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
const ownNames: ReadonlySet<string> = new Set(["host", "port", "clusterId", "producerId"])

const ranges = (records: Uint8Array): ReadonlyArray<string> => {
  const found: Array<string> = []
  batchesOf(records, (at) => found.push(`${baseOffset(records, at)}-${lastOffset(records, at)}`))
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

/** Without what must differ between any two servers: addresses, ids by chance, epochs, words for people. */
export const normal = (side: Side, value: unknown, name = ""): unknown => {
  if (value instanceof Uint8Array) return name === "records" ? ranges(value) : Buffer.from(value).toString("hex")
  if (Array.isArray(value)) {
    const elements: ReadonlyArray<unknown> = name === "responses" ? partitionsOf(value) : value
    return sorted(elements.map((each) => normal(side, each, name)))
  }
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).filter(([field]) => field !== "throttleTimeMs")
    return Object.fromEntries(fields.map(([field, own]) => [field, normal(side, own, field)]))
  }
  if (epochFields.has(name) && value === side.leaderEpoch) return "the leader epoch"
  if (name === "sessionId" && typeof value === "number" && value > 0) return "a session"
  if (name === "topicId") return [...side.topicIds].find(([, id]) => id === value)?.[0] ?? value
  if (texts.has(name)) return typeof value === "string" && value !== "" ? "a text" : "none"
  if (ownNames.has(name) && value !== -1 && value !== "") return `a ${name}`
  return value
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
  const [theirs, ours] = [JSON.stringify(kafka) ?? "closed", JSON.stringify(logbrook) ?? "closed"]
  return theirs === ours ? [] : [{ path, kafka: theirs, logbrook: ours }]
}
