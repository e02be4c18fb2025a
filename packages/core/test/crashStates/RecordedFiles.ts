import { createHash } from "node:crypto"
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as path from "node:path"
import { crashStates, type Change, type CrashState, type Node } from "./crashStates.ts"

/**
 * Records what is done to the names below a directory: files that are made, renamed, linked and unlinked, and directories that
 * are synced. Before each step it keeps what a power cut could leave there.
 *
 * The model is weaker than any file system: a name that was made, changed or removed since its directory was last synced may
 * each be as it was or as it is, in any combination; whatever `fs` wrote to a file since that was last synced may be missing.
 * What LMDB writes and syncs by itself is taken as it is at that moment. Of LMDB's locks and our own, whose content nobody
 * relies on after a crash, nothing is forgotten.
 */
export class RecordedFiles<Known> {
  readonly #root: string
  readonly #known: () => Known
  readonly #states = new Map<string, { readonly state: CrashState; readonly known: Known }>()
  /** What is there, by number; a name keeps its number when it is renamed. */
  readonly #nodes: Array<Node> = [{ _tag: "Directory", names: new Map() }]
  /** Names in directories since each was synced, the oldest first. */
  readonly #pending = new Map<number, Array<Change>>()
  readonly #contents = new Map<string, Buffer>()
  /** Of files that `fs` wrote to since their last sync: by number, what was there then. */
  readonly #unsynced = new Map<number, Buffer>()
  readonly #restore: Array<() => void> = []
  #isBusy = false

  /** `known`: asked at every step; what must be there after a cut at that moment. */
  constructor(root: string, known: () => Known) {
    this.#root = fs.realpathSync(root)
    this.#known = known
    this.#look()
    this.#pending.clear()
    this.#unsynced.clear()
    this.#watch()
  }

  /** Ends the record. Every state that a power cut could have left, with what was known then. */
  end(): ReadonlyArray<{ readonly state: CrashState; readonly known: Known }> {
    this.#step()
    for (const restore of this.#restore) restore()
    syncBuiltinESMExports()
    return [...this.#states.values()]
  }

  #watch(): void {
    for (const name of [
      "openSync",
      "renameSync",
      "rmSync",
      "rmdirSync",
      "linkSync",
      "mkdirSync",
      "mkdtempSync",
      "unlinkSync"
    ] as const)
      this.#wrap(fs, name, () => undefined)
    this.#wrap(fs, "writeFileSync", (target: string | number) => this.#wrote(target))
    this.#wrap(fs, "writeSync", (target: number) => this.#wrote(target))
    this.#wrap(fs, "fsyncSync", (descriptor: number) => this.#synced(descriptor))
    this.#wrap(fs, "fdatasyncSync", (descriptor: number) => this.#synced(descriptor))
    for (const name of ["unlink", "rm", "rename"] as const) this.#wrap(fs.promises, name, () => undefined)
    this.#wrap(fs.promises, "open", () => undefined)
    syncBuiltinESMExports()
  }

  #wrap(of: object, name: string, done: (target: never) => void): void {
    const functions = of as Record<string, (...args: ReadonlyArray<unknown>) => unknown>
    const original = functions[name]!
    functions[name] = (...args) => {
      if (this.#isBusy) return original(...args)
      this.#step()
      const result = original(...args)
      if (result instanceof Promise) return result.then((value: unknown) => this.#handled(value))
      this.#quietly(() => {
        this.#look()
        done(args[0] as never)
      })
      return result
    }
    this.#restore.push(() => {
      functions[name] = original
    })
  }

  /** What a file handle cuts off is gone, whatever becomes of the file's name. */
  #handled(value: unknown): unknown {
    const handle = value as fs.promises.FileHandle | undefined
    if (typeof handle?.truncate !== "function") return this.#quietly(() => (this.#look(), value))
    const number = this.#numberOf(handle.fd)
    const truncate = handle.truncate.bind(handle)
    handle.truncate = async (bytes) => {
      this.#step()
      await truncate(bytes)
      const node = number === undefined ? undefined : this.#nodes[number]
      if (node?._tag === "File") node.content = node.content.subarray(0, bytes)
    }
    const sync = handle.sync.bind(handle)
    handle.sync = async () => {
      this.#step()
      await sync()
      this.#quietly(() => this.#synced(handle.fd))
    }
    return value
  }

  #quietly<A>(run: () => A): A {
    this.#isBusy = true
    try {
      return run()
    } finally {
      this.#isBusy = false
    }
  }

  #placeOf(descriptor: number): string {
    return fs.readlinkSync(`/proc/self/fd/${descriptor}`)
  }

  #numberOf(target: string | number): number | undefined {
    const place = typeof target === "number" ? this.#placeOf(target) : path.resolve(target)
    if (place !== this.#root && !place.startsWith(`${this.#root}/`)) return undefined
    let number: number | undefined = 0
    for (const name of path.relative(this.#root, place).split("/").filter(Boolean)) {
      const node: Node | undefined = number === undefined ? undefined : this.#nodes[number]
      number = node?._tag === "Directory" ? node.names.get(name) : undefined
    }
    return number
  }

  #wrote(target: string | number): void {
    const number = this.#numberOf(target)
    if (number !== undefined && !this.#unsynced.has(number)) this.#unsynced.set(number, Buffer.alloc(0))
  }

  #synced(descriptor: number): void {
    const number = this.#numberOf(descriptor)
    if (number === undefined) return
    this.#unsynced.delete(number)
    this.#pending.delete(number)
  }

  /** A moment at which the power may go. */
  #step(): void {
    this.#quietly(() => {
      this.#look()
      const known = this.#known()
      for (const state of crashStates(this.#nodes, this.#pending, this.#unsynced))
        this.#states.set(`${keyOf(state)} ${JSON.stringify(known)}`, { state, known })
    })
  }

  #look(): void {
    this.#lookInto(0, this.#root)
  }

  /** Finds what has changed below a directory, LMDB's doings too. */
  #lookInto(number: number, directory: string): void {
    const { names } = this.#nodes[number] as Extract<Node, { _tag: "Directory" }>
    const found = new Map<string, fs.Stats>()
    for (const name of fs.readdirSync(directory)) {
      const stat = fs.lstatSync(path.join(directory, name), { throwIfNoEntry: false })
      if (stat !== undefined) found.set(name, stat)
    }
    const gone = [...names].filter(([name, known]) => !this.#isSame(known, found.get(name)))
    for (const [name, stat] of found) {
      const place = path.join(directory, name)
      let known = names.get(name)
      if (known === undefined || !this.#isSame(known, stat)) {
        const from = gone.find(([, each]) => this.#isSame(each, stat))
        const linked = [...names.values()].find((each) => this.#isSame(each, stat))
        known = from?.[1] ?? linked ?? this.#made(stat)
        const renamedFrom = from !== undefined && !found.has(from[0]) ? from[0] : undefined
        if (renamedFrom !== undefined) gone.splice(gone.indexOf(from!), 1)
        this.#changed(number, { name, number: known, renamedFrom })
      }
      if (stat.isDirectory()) this.#lookInto(known, place)
      else this.#refresh(known, place)
    }
    for (const [name] of gone)
      if (!found.has(name)) this.#changed(number, { name, number: undefined, renamedFrom: undefined })
  }

  readonly #inodes = new Map<number, number>()

  #isSame(number: number, stat: fs.Stats | undefined): boolean {
    return stat !== undefined && this.#inodes.get(number) === stat.ino
  }

  #made(stat: fs.Stats): number {
    const number = this.#nodes.length
    this.#nodes.push(
      stat.isDirectory() ? { _tag: "Directory", names: new Map() } : { _tag: "File", content: Buffer.alloc(0) }
    )
    this.#inodes.set(number, stat.ino)
    return number
  }

  #changed(directory: number, change: Change): void {
    const { names } = this.#nodes[directory] as Extract<Node, { _tag: "Directory" }>
    const pending = this.#pending.get(directory) ?? []
    this.#pending.set(directory, pending)
    pending.push({ ...change, before: new Map(names) })
    if (change.renamedFrom !== undefined) names.delete(change.renamedFrom)
    if (change.number === undefined) names.delete(change.name)
    else names.set(change.name, change.number)
  }

  #refresh(number: number, place: string): void {
    const node = this.#nodes[number]
    if (node?._tag !== "File") return
    const content = fs.readFileSync(place)
    const hash = createHash("sha1").update(content).digest("base64")
    const known = this.#contents.get(hash) ?? content
    this.#contents.set(hash, known)
    node.content = known
  }
}

const keyOf = (state: CrashState): string => {
  const hash = createHash("sha1")
  for (const [name, content] of state)
    hash.update(`${name}\0${content === undefined ? "/" : content.length}\0`).update(content ?? "")
  return hash.digest("base64")
}
