/** Found by its key among others. */
export interface Keyed {
  readonly key: string
}

/**
 * Any number of things by key: none; one alone; few in an array, which never changes; or many in a map. For where there are very many
 * of these and most hold little: beside what it holds, one alone takes nothing, an array of ten 100 bytes, a `Map` of ten 500.
 */
export type Held<T extends Keyed> = undefined | T | ReadonlyArray<T> | Map<string, T>

const fewMax = 16

const isFew = <T extends Keyed>(held: T | ReadonlyArray<T>): held is ReadonlyArray<T> => Array.isArray(held)

const indexOf = <T extends Keyed>(few: ReadonlyArray<T>, key: string): number => {
  for (let at = 0; at < few.length; at++) if (few[at]!.key === key) return at
  return -1
}

export const find = <T extends Keyed>(held: Held<T>, key: string): T | undefined => {
  if (held === undefined) return undefined
  if (held instanceof Map) return held.get(key)
  if (isFew(held)) return held[indexOf(held, key)]
  return held.key === key ? held : undefined
}

/** With this one, which takes the place of another with its key. A map is changed in place. */
export const withOne = <T extends Keyed>(held: Held<T>, one: T): Held<T> => {
  if (held === undefined) return one
  if (held instanceof Map) return held.set(one.key, one)
  if (!isFew(held)) return held.key === one.key ? one : [held, one]
  const at = indexOf(held, one.key)
  if (at !== -1) return held.with(at, one)
  // An array that another is spread into has room for 16 more.
  const more = held.concat(one)
  return more.length > fewMax ? new Map(more.map((each) => [each.key, each])) : more
}

/** Without the one of this key, if it is there. A map is changed in place. */
export const withoutOne = <T extends Keyed>(held: Held<T>, key: string): Held<T> => {
  if (held === undefined) return undefined
  if (held instanceof Map) {
    held.delete(key)
    return held.size > fewMax / 2 ? held : Array.from(held.values())
  }
  if (!isFew(held)) return held.key === key ? undefined : held
  const at = indexOf(held, key)
  if (at === -1) return held
  return held.length === 2 ? held[1 - at] : held.toSpliced(at, 1)
}

export const visitAll = <T extends Keyed>(held: Held<T>, visit: (one: T) => void): void => {
  if (held === undefined) return
  if (held instanceof Map) for (const one of held.values()) visit(one)
  else if (isFew(held)) for (const one of held) visit(one)
  else visit(held)
}
