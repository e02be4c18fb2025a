const pageSize = 100

/** Which part of a list is asked for. */
export interface PageQuery {
  /** As the page before gave it. */
  readonly cursor?: string | undefined
  readonly limit?: number | undefined
}

/** The `count` smallest of the names behind `cursor`, in order: a list of many is not sorted for each of its pages. */
const smallest = (names: Iterable<string>, count: number, cursor: string | undefined): ReadonlyArray<string> => {
  let found: Array<string> = []
  /** Names from here on are behind the page. */
  let end: string | undefined
  for (const name of names) {
    if ((cursor !== undefined && name <= cursor) || (end !== undefined && name >= end)) continue
    if (found.push(name) < 4 * count) continue
    found = found.sort().slice(0, count)
    end = found.at(-1)
  }
  return found.sort().slice(0, count)
}

/**
 * A page of a list of names, which come in any order. They are the cursors: a page goes on behind one, whether or not it is still
 * there. `item` may find nothing any more of a name: it is left out then.
 */
export const pageOf = <A>(
  names: Iterable<string>,
  { cursor, limit = pageSize }: PageQuery,
  item: (name: string) => A | undefined
) => {
  const found = smallest(names, limit + 1, cursor)
  const hasnext = found.length > limit
  const shown = hasnext ? found.slice(0, limit) : found
  const data = shown.map(item).filter((each) => each !== undefined)
  return { data, meta: { cursor: hasnext ? shown.at(-1)! : null, hasnext } }
}
