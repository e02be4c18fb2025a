import * as lmdb from "lmdb"

/** Not in the library's types. */
const opened = (lmdb as unknown as { readonly allDbs: Map<string, unknown> }).allDbs

/**
 * To be called when they are closed: lmdb 3.5.6 keeps every store that was ever opened, and its buffers, in a map that
 * itself never reads. A segment has six, so a server would grow with every segment that it has had.
 */
export const forgetStores = (...stores: ReadonlyArray<unknown>): void => {
  for (const [name, store] of opened) if (stores.includes(store)) opened.delete(name)
}
