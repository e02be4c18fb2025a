import * as fs from "node:fs"
import * as path from "node:path"

export type Node =
  | { readonly _tag: "Directory"; readonly names: Map<string, number> }
  | { readonly _tag: "File"; content: Buffer }

/** A name in a directory that was made, moved or (`number` undefined) removed. */
export interface Change {
  readonly name: string
  readonly number: number | undefined
  /** A rename is one change: both names, or neither. */
  readonly renamedFrom: string | undefined
  /** The names before the change. */
  readonly before?: ReadonlyMap<string, number>
}

/** Path below the root to content; undefined for a directory. In order of the paths. */
export type CrashState = ReadonlyMap<string, Buffer | undefined>

/** More would be no exhaustive look in bearable time: the test has to sync, or to be cut in two. */
const pendingMax = 12

/** Of these, content says nothing to a start. */
const isLock = (name: string): boolean => name === "lock" || /^lock\.|-lock$/.test(name)

/** Every combination of the changes since a directory's last sync, in their order. */
export const namesAfter = (
  now: ReadonlyMap<string, number>,
  pending: ReadonlyArray<Change>
): ReadonlyArray<ReadonlyMap<string, number>> => {
  const durable = pending[0]?.before ?? now
  const forgettable = pending.filter(({ name }) => !isLock(name))
  if (forgettable.length > pendingMax) throw new Error(`${forgettable.length} names are not synced`)
  const found = new Map<string, ReadonlyMap<string, number>>()
  for (let kept = 0; kept < 2 ** forgettable.length; kept++) {
    const names = new Map(durable)
    for (const change of pending) {
      const at = forgettable.indexOf(change)
      if (at >= 0 && ((kept >>> at) & 1) === 0) continue
      if (change.renamedFrom !== undefined) names.delete(change.renamedFrom)
      if (change.number === undefined) names.delete(change.name)
      else names.set(change.name, change.number)
    }
    found.set(JSON.stringify([...names].sort()), names)
  }
  return [...found.values()]
}

/** Every state that a power cut can leave now. */
export const crashStates = (
  nodes: ReadonlyArray<Node>,
  pending: ReadonlyMap<number, ReadonlyArray<Change>>,
  unsynced: ReadonlyMap<number, Buffer>
): ReadonlyArray<CrashState> => {
  const contentsOf = (number: number): ReadonlyArray<CrashState> => {
    const node = nodes[number]!
    if (node._tag === "File") return [new Map([["", node.content]])]
    const all: Array<CrashState> = []
    for (const names of namesAfter(node.names, pending.get(number) ?? [])) {
      let states: ReadonlyArray<CrashState> = [new Map(number === 0 ? [] : [["", undefined]])]
      for (const [name, child] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const below = contentsOf(child)
        states = states.flatMap((state) => below.map((each) => new Map([...state, ...moved(each, name)])))
      }
      all.push(...states)
    }
    return all
  }
  const forgotten = nodes.map((node, number): Node =>
    unsynced.has(number) && node._tag === "File" ? { ...node, content: unsynced.get(number)! } : node
  )
  const whole = contentsOf(0)
  if (unsynced.size === 0) return whole
  return [...whole, ...crashStates(forgotten, pending, new Map())]
}

const moved = (state: CrashState, name: string): CrashState =>
  new Map(Array.from(state, ([below, content]) => [below === "" ? name : `${name}/${below}`, content]))

/** A writer of an earlier boot. */
const ended = "1 1 before-the-cut"

/** Puts a state into an empty directory. Whoever held a lock has ended with the power. */
export const materialise = (state: CrashState, directory: string): void => {
  for (const [name, content] of state) {
    const place = path.join(directory, name)
    if (content === undefined) fs.mkdirSync(place)
    else fs.writeFileSync(place, path.basename(name) === "lock" ? ended : content)
  }
}
