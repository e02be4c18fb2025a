import type { Plain } from "./plain.ts"

export interface Change {
  /** `members[consumer-1].partitions` */
  readonly path: string
  readonly change: "added" | "removed" | "changed"
  readonly before?: Plain
  readonly after?: Plain
}

type PlainObject = { readonly [name: string]: Plain }

const isObject = (value: Plain | undefined): value is PlainObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const isList = (value: Plain | undefined): value is ReadonlyArray<Plain> => Array.isArray(value)

/** The field that identifies an element of a list, so that one that is gone does not make all behind it differ. */
const identities: ReadonlyArray<(value: PlainObject) => Plain | undefined> = [
  ({ memberId }) => memberId,
  ({ stream, partition }) => (stream === undefined || partition === undefined ? undefined : `${stream}-${partition}`),
  ({ entryId }) => entryId,
  ({ producerId }) => producerId,
  ({ filter }) => filter,
  ({ topic }) => topic,
  ({ epoch }) => epoch,
  ({ name }) => name
]

const keyed = (list: ReadonlyArray<Plain>): ReadonlyMap<string, Plain> | undefined => {
  if (list.every((each) => typeof each === "string")) return new Map(list.map((each) => [String(each), each]))
  if (!list.every(isObject)) return undefined
  const identity = identities.find((of) => list.every((each) => of(each) !== undefined))
  const found = identity && new Map(list.map((each) => [String(identity(each)), each]))
  return found?.size === list.length ? found : undefined
}

const indexed = (list: ReadonlyArray<Plain>): ReadonlyMap<string, Plain> =>
  new Map(list.map((each, i) => [String(i), each]))

/** Returns the smallest parts that are different. */
export const structuralDiff = (
  before: Plain | undefined,
  after: Plain | undefined,
  path = ""
): ReadonlyArray<Change> => {
  if (before === undefined) return after === undefined ? [] : [{ path, change: "added", after }]
  if (after === undefined) return [{ path, change: "removed", before }]
  if (isObject(before) && isObject(after)) {
    const at = (name: string): string => (path === "" ? name : `${path}.${name}`)
    return diffMaps(new Map(Object.entries(before)), new Map(Object.entries(after)), at)
  }
  if (isList(before) && isList(after)) {
    const [old, now] = [keyed(before), keyed(after)]
    const at = (key: string): string => `${path}[${key}]`
    if (old !== undefined && now !== undefined) return diffMaps(old, now, at)
    return diffMaps(indexed(before), indexed(after), at)
  }
  return before === after ? [] : [{ path, change: "changed", before, after }]
}

const diffMaps = (
  before: ReadonlyMap<string, Plain>,
  after: ReadonlyMap<string, Plain>,
  at: (name: string) => string
): ReadonlyArray<Change> =>
  [...new Set([...before.keys(), ...after.keys()])].flatMap((name) =>
    structuralDiff(before.get(name), after.get(name), at(name))
  )
