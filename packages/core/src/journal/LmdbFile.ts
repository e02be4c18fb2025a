import * as fs from "node:fs"
import { JournalError } from "./JournalError.ts"

/**
 * An LMDB environment read without LMDB, page by page, every offset checked before it is followed: lmdb 3.5.6 maps the
 * file and ends the process with SIGSEGV or SIGBUS where a page is damaged; and a second process that opens an environment,
 * to read only, takes its writer back to the commit that it has seen: acknowledged commits are lost (`mdb_env_open2` sets
 * the shared `mti_txnid`). A file that is written to is read at its newest synced commit, see `refresh`.
 * The layout is that of `liblmdb/mdb.c` (data version 2, 64 bits, little-endian); see docs/storage-format.md.
 */

const magic = 0xbeef_c0de
const dataVersion = 2
export const pageHeaderBytes = 24
const metaBytes = 144
const nodeHeaderBytes = 8
const tableBytes = 48
const overflowBytes = 24
const depthMax = 32
const noPage = 0xffff_ffff_ffff_ffffn

const pageFlags = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 }
/** The flags that LMDB keeps there while it works. */
const adminFlags = 0xe000
const nodeFlags = { overflow: 0x01, table: 0x02, duplicates: 0x04 }
/** Set in a meta page whose data was not yet synced; the third meta page tells what was. */
const overlappingSyncFlag = 0x1000

/** A page that is not what it must be. */
export class PageDamage extends JournalError {
  constructor(page: number, message: string) {
    super("Corrupt", `page ${page}: ${message}`)
  }
}

/** Root and counts of one of the environment's tables. */
export interface Tree {
  readonly root: number | undefined
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
}

interface Meta {
  /** False: with overlapping sync, its data may not be on disk. */
  readonly isSynced: boolean
  readonly txnid: number
  readonly lastPage: number
  readonly free: Tree
  readonly main: Tree
  /** But for what differs between the copies of one state. */
  readonly bytes: Buffer
}

interface Page {
  readonly number: number
  readonly bytes: Buffer
  readonly isLeaf: boolean
  readonly txnid: number
  readonly nodes: number
}

interface Node {
  readonly key: Buffer
  readonly flags: number
  /** The child page, in a branch. */
  readonly child: number
  /** The value, in a leaf, or where it is. */
  readonly data: Buffer
  readonly valueBytes: number
}

/** Told of an entry; `value` reads it and throws `PageDamage`. False ends the walk. */
export type Visit = (key: Buffer, value: () => Buffer) => boolean
type OnDamage = (damage: PageDamage) => void

const wholeNumber = (bytes: Buffer, at: number, page: number): number => {
  const value = bytes.readBigUInt64LE(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new PageDamage(page, `${value} is no number that can be there`)
  return Number(value)
}

/** Reads a table's tree: it has no flags, since none of ours has duplicates or keys in another order. */
const readTable = (bytes: Buffer, at: number, page: number): Tree => {
  if (bytes.readUInt32LE(at) !== 0 || bytes.readUInt16LE(at + 4) !== 0) throw new PageDamage(page, "a table has flags")
  return readTree(bytes, at, page)
}

const readTree = (bytes: Buffer, at: number, page: number): Tree => {
  const root = bytes.readBigUInt64LE(at + 40)
  return {
    depth: bytes.readUInt16LE(at + 6),
    branchPages: wholeNumber(bytes, at + 8, page),
    leafPages: wholeNumber(bytes, at + 16, page),
    overflowPages: wholeNumber(bytes, at + 24, page),
    entries: wholeNumber(bytes, at + 32, page),
    root: root === noPage ? undefined : wholeNumber(bytes, at + 40, page)
  }
}

const readMeta = (bytes: Buffer, page: number): Meta => {
  if (bytes.readBigUInt64LE(8) !== 0n) throw new PageDamage(page, "the map has an address")
  const state = Buffer.from(bytes.subarray(8, 136))
  const flags = state.readUInt16LE(20)
  state.writeUInt16LE(flags & ~overlappingSyncFlag, 20)
  return {
    isSynced: (flags & overlappingSyncFlag) === 0,
    free: readTree(bytes, 24, page),
    main: readTable(bytes, 72, page),
    lastPage: wholeNumber(bytes, 120, page),
    txnid: wholeNumber(bytes, 128, page),
    bytes: state
  }
}

export class LmdbFile {
  readonly path: string
  readonly pageBytes: number
  pagesInFile: number
  readonly #descriptor: number
  readonly #inode: number
  #meta: Meta
  /**
   * The pages on the way to the last key that was asked for, by table: the next one is mostly a neighbour. Settling
   * records of 1 KB took 1.05 µs of CPU each without, 0.92 with it (bench/settleSegment.ts, medians of alternating runs
   * beside other work).
   */
  #ways = new Map<Tree, Array<Page>>()

  private constructor(path: string, descriptor: number, { size, ino }: fs.Stats) {
    this.path = path
    this.#descriptor = descriptor
    this.#inode = ino
    const head = this.#read(0, pageHeaderBytes + metaBytes, size, 0)
    this.pageBytes = pageBytesOf(head)
    this.pagesInFile = Math.floor(size / this.pageBytes)
    this.#meta = this.#pickMeta(head, size)
    if (this.#meta.lastPage < 1) throw new PageDamage(0, "the last page is a meta page")
  }

  /** Throws `PageDamage` for meta pages that are not whole. */
  static open(path: string): LmdbFile {
    const descriptor = fs.openSync(path, "r")
    try {
      return new LmdbFile(path, descriptor, fs.fstatSync(descriptor))
    } catch (error) {
      fs.closeSync(descriptor)
      throw error
    }
  }

  close(): void {
    fs.closeSync(this.#descriptor)
  }

  /**
   * Throws `PageDamage` if the file has lost its name: a server that needs it no more cuts it, or begins another segment
   * in it. Until then it holds what it held.
   */
  throwIfGone(): void {
    if (fs.statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode) return
    throw new PageDamage(0, "the file was given up while it was read")
  }

  /** Goes on to what is the newest synced commit now. Throws `PageDamage`; beside a writer it may do so by chance. */
  refresh(): void {
    this.#ways.clear()
    const { size } = fs.fstatSync(this.#descriptor)
    this.pagesInFile = Math.floor(size / this.pageBytes)
    this.#meta = this.#pickMeta(this.#read(0, pageHeaderBytes + metaBytes, size, 0), size)
  }

  /**
   * Whether everything read since the last `refresh` is of one commit: LMDB takes the pages that a commit has freed no
   * earlier than two synced commits later.
   */
  isStable(): boolean {
    const before = this.#meta
    try {
      this.refresh()
    } catch (error) {
      if (error instanceof PageDamage) return false
      throw error
    }
    const isStable = this.#meta.txnid <= before.txnid + 1
    this.#meta = before
    return isStable
  }

  #read(at: number, length: number, size: number, page: number, scratch?: Buffer): Buffer {
    if (at + length > size) throw new PageDamage(page, `lies behind the end of the file, ${size} bytes`)
    const hasRoom = scratch !== undefined && scratch.length >= length
    const bytes = hasRoom ? scratch.subarray(0, length) : Buffer.allocUnsafeSlow(length)
    for (let done = 0; done < length;) {
      const read = fs.readSync(this.#descriptor, bytes, done, length - done, at + done)
      if (read === 0) throw new PageDamage(page, "lies behind the end of the file")
      done += read
    }
    return bytes
  }

  /**
   * Picks the meta page that a server would go on from. The two meta pages are written alternately. A commit with
   * overlapping sync marks its meta page, and repeats it in the middle of page 0 once its data is synced: if that one
   * is older than a newest page with the mark, the end was not synced before a crash, and was acknowledged to nobody.
   * Else there are two copies to compare.
   */
  #pickMeta(head: Buffer, size: number): Meta {
    const read = (page: number, at: number): Buffer => this.#read(at, pageHeaderBytes + metaBytes, size, page)
    const second = read(1, this.pageBytes)
    throwIfNoMeta(head, 0)
    throwIfNoMeta(second, 1)
    if (pageBytesOf(second) !== this.pageBytes) throw new PageDamage(1, "the meta pages differ in the size of pages")
    const even = readMeta(head.subarray(pageHeaderBytes), 0)
    const odd = readMeta(second.subarray(pageHeaderBytes), 1)
    const synced = readMeta(read(0, this.pageBytes / 2).subarray(pageHeaderBytes), 0)
    const newest = even.txnid > odd.txnid ? even : odd
    const other = newest === even ? odd : even
    if (synced.txnid > newest.txnid) throw new PageDamage(0, "a commit was synced that no meta page tells of")
    for (const meta of [even, odd]) {
      if (synced.txnid === meta.txnid && synced.txnid > 0 && !synced.bytes.equals(meta.bytes)) {
        throw new PageDamage(0, `two meta pages tell of commit ${meta.txnid}, and differ`)
      }
    }
    if (!newest.isSynced && synced.txnid > 0 && synced.txnid < newest.txnid) return synced
    if (newest.txnid > 1 && other.txnid !== newest.txnid - 1) {
      throw new PageDamage(
        0,
        `the meta pages are of commits ${even.txnid} and ${odd.txnid}, which do not follow each other`
      )
    }
    return newest
  }

  /** Throws `PageDamage`. */
  #page(number: number, txnidMax: number): Page {
    if (number < 2 || number > this.#meta.lastPage) throw new PageDamage(number, "is none of a table's pages")
    const bytes = this.#read(number * this.pageBytes, this.pageBytes, this.pagesInFile * this.pageBytes, number)
    if (wholeNumber(bytes, 0, number) !== number) throw new PageDamage(number, "has the number of another")
    const txnid = wholeNumber(bytes, 8, number)
    if (txnid > txnidMax) throw new PageDamage(number, `is of commit ${txnid}, what refers to it of ${txnidMax}`)
    const flags = bytes.readUInt16LE(18) & ~adminFlags
    if (flags !== pageFlags.leaf && flags !== pageFlags.branch) throw new PageDamage(number, `has the flags ${flags}`)
    const lower = bytes.readUInt16LE(20)
    const upper = bytes.readUInt16LE(22)
    if (lower % 2 !== 0 || lower > upper || upper > this.pageBytes - pageHeaderBytes) {
      throw new PageDamage(number, `its free room is from ${lower} to ${upper}`)
    }
    const nodes = lower / 2
    if (nodes === 0) throw new PageDamage(number, "is empty")
    return { number, bytes, isLeaf: flags === pageFlags.leaf, txnid, nodes }
  }

  #node({ bytes, number, isLeaf }: Page, index: number): Node {
    const upper = bytes.readUInt16LE(22)
    const pointer = bytes.readUInt16LE(pageHeaderBytes + 2 * index)
    const at = pageHeaderBytes + pointer
    if (pointer < upper || at + nodeHeaderBytes > this.pageBytes)
      throw new PageDamage(number, `node ${index} is outside`)
    const low = bytes.readUInt16LE(at) + bytes.readUInt16LE(at + 2) * 0x1_0000
    const flags = bytes.readUInt16LE(at + 4)
    const keyEnd = at + nodeHeaderBytes + bytes.readUInt16LE(at + 6)
    if (keyEnd > this.pageBytes) throw new PageDamage(number, `the key of node ${index} is outside`)
    const key = bytes.subarray(at + nodeHeaderBytes, keyEnd)
    if (!isLeaf) return { key, flags: 0, child: low + flags * 0x1_0000_0000, data: key, valueBytes: 0 }
    if ((flags & ~(nodeFlags.overflow | nodeFlags.table)) !== 0) {
      throw new PageDamage(number, `node ${index} has the flags ${flags}`)
    }
    const dataEnd = keyEnd + ((flags & nodeFlags.overflow) === 0 ? low : overflowBytes)
    if (dataEnd > this.pageBytes) throw new PageDamage(number, `the value of node ${index} is outside`)
    return { key, flags, child: 0, data: bytes.subarray(keyEnd, dataEnd), valueBytes: low }
  }

  #value(page: Page, { flags, data, valueBytes }: Node, scratch?: Buffer): Buffer {
    if ((flags & nodeFlags.overflow) === 0) return data
    const number = wholeNumber(data, 0, page.number)
    const pages = wholeNumber(data, 16, page.number)
    if (number < 2 || number + pages - 1 > this.#meta.lastPage) throw new PageDamage(number, "is no overflow page")
    if (pages !== Math.ceil((pageHeaderBytes + valueBytes) / this.pageBytes)) {
      throw new PageDamage(page.number, `${valueBytes} bytes in ${pages} overflow pages`)
    }
    const size = this.pagesInFile * this.pageBytes
    const bytes = this.#read(number * this.pageBytes, pageHeaderBytes + valueBytes, size, number, scratch)
    const isOverflow = (bytes.readUInt16LE(18) & ~adminFlags) === pageFlags.overflow
    if (!isOverflow || wholeNumber(bytes, 0, number) !== number || bytes.readUInt32LE(20) !== pages) {
      throw new PageDamage(number, "is no overflow page, or another")
    }
    return bytes.subarray(pageHeaderBytes)
  }

  /** The table of this name; undefined if there is none. Throws `PageDamage`. */
  table(name: string): Tree | undefined {
    const record = this.#find(this.#meta.main, Buffer.from(`${name}\0`), this.#meta.txnid)
    if (record === undefined || (record.node.flags & nodeFlags.table) === 0) return undefined
    const { data } = record.node
    if (data.length !== tableBytes) throw new PageDamage(record.page.number, `the table ${name} has no proper record`)
    return readTable(data, 0, record.page.number)
  }

  /** A value of the environment itself. */
  value(name: string): Buffer | undefined {
    return this.get(this.#meta.main, Buffer.from(name))
  }

  /** `scratch`: where a value that has pages of its own may lie, if there is room. Throws `PageDamage`. */
  get(tree: Tree, key: Buffer, scratch?: Buffer): Buffer | undefined {
    const found = this.#find(tree, key, this.#meta.txnid)
    return found && this.#value(found.page, found.node, scratch)
  }

  /** The value with the highest key. Throws `PageDamage`. */
  last({ root }: Tree): Buffer | undefined {
    if (root === undefined) return undefined
    let page = this.#page(root, this.#meta.txnid)
    for (let depth = 0; !page.isLeaf; depth++) {
      if (depth > depthMax) throw new PageDamage(root, "the tree is too deep")
      page = this.#page(this.#node(page, page.nodes - 1).child, page.txnid)
    }
    return this.#value(page, this.#node(page, page.nodes - 1))
  }

  #find(tree: Tree, key: Buffer, txnid: number): { readonly page: Page; readonly node: Node } | undefined {
    const { root } = tree
    if (root === undefined) return undefined
    const way = this.#ways.get(tree) ?? []
    this.#ways.set(tree, way)
    let page = this.#wayTo(way, 0, root, txnid)
    for (let depth = 0; !page.isLeaf; depth++) {
      if (depth > depthMax) throw new PageDamage(root, "the tree is too deep")
      page = this.#wayTo(way, depth + 1, this.#node(page, this.#floor(page, key)).child, page.txnid)
    }
    const node = this.#node(page, this.#floor(page, key))
    return node.key.equals(key) ? { page, node } : undefined
  }

  #wayTo(way: Array<Page>, depth: number, number: number, txnidMax: number): Page {
    const known = way[depth]
    if (known?.number === number && known.txnid <= txnidMax) return known
    return (way[depth] = this.#page(number, txnidMax))
  }

  /** The last node at or before `key`, the first one if there is none. */
  #floor(page: Page, key: Buffer): number {
    let low = 0
    let high = page.nodes - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (Buffer.compare(this.#node(page, middle).key, key) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Visits a table's entries from `from` on, in order. False if `visit` has ended it. Throws `PageDamage`. */
  walk(tree: Tree, from: Buffer, visit: Visit): boolean {
    return tree.root === undefined || this.#walk(this.#page(tree.root, this.#meta.txnid), from, visit, 0)
  }

  #walk(page: Page, from: Buffer, visit: Visit, depth: number): boolean {
    if (depth > depthMax) throw new PageDamage(page.number, "the tree is too deep")
    for (let i = this.#floor(page, from); i < page.nodes; i++) {
      const node = this.#node(page, i)
      if (!page.isLeaf) {
        if (!this.#walk(this.#page(node.child, page.txnid), from, visit, depth + 1)) return false
      } else if (Buffer.compare(node.key, from) >= 0 && !visit(node.key, () => this.#value(page, node))) return false
    }
    return true
  }

  /**
   * Checks what takes no time: the roots of all tables, and whether the file has all of its pages. If it may lack
   * some, every page is looked at. Throws `PageDamage`.
   */
  checkRoots(tables: ReadonlyArray<string>): void {
    const { main, free, txnid, lastPage } = this.#meta
    for (const tree of [main, free, ...tables.map((name) => this.table(name))]) {
      if (tree?.root !== undefined) this.#page(tree.root, txnid)
    }
    // LMDB need not write the last pages if they are free.
    if (this.pagesInFile > lastPage) return
    this.check(tables, (damage) => {
      throw damage
    })
  }

  /** Looks at every page of every table, values' contents aside, and tells of all that is wrong. */
  check(tables: ReadonlyArray<string>, onDamage: OnDamage): void {
    const seen = new Uint8Array(this.#meta.lastPage + 1)
    const guarded = (run: () => void): void => {
      try {
        run()
      } catch (error) {
        if (!(error instanceof PageDamage)) throw error
        onDamage(error)
      }
    }
    const { main, free, txnid } = this.#meta
    guarded(() => new TreeCheck(this, main, seen, onDamage).run(txnid))
    guarded(() => new TreeCheck(this, free, seen, onDamage, compareFreeKeys).run(txnid))
    for (const name of tables) {
      guarded(() => {
        const tree = this.table(name)
        if (tree === undefined) throw new PageDamage(0, `there is no table ${name}`)
        new TreeCheck(this, tree, seen, onDamage).run(txnid)
      })
    }
  }

  /** @internal */
  readPage(number: number, txnidMax: number): Page {
    return this.#page(number, txnidMax)
  }

  /** @internal */
  readNode(page: Page, index: number): Node {
    return this.#node(page, index)
  }

  /** @internal The overflow pages of a value; none if it lies in its leaf. */
  overflowOf(page: Page, node: Node): ReadonlyArray<number> {
    if ((node.flags & nodeFlags.overflow) === 0) return []
    const first = wholeNumber(node.data, 0, page.number)
    const count = wholeNumber(node.data, 16, page.number)
    if (count > this.pagesInFile || first + count > this.pagesInFile) {
      throw new PageDamage(page.number, `a value of ${count} pages from page ${first} on, of ${this.pagesInFile}`)
    }
    return Array.from({ length: count }, (_, i) => first + i)
  }
}

/** Free pages stand under the number of their commit, as the machine writes it. */
const compareFreeKeys = (a: Buffer, b: Buffer): number =>
  a.length === 8 && b.length === 8 ? Number(a.readBigUInt64LE(0) - b.readBigUInt64LE(0)) : Buffer.compare(a, b)

class TreeCheck {
  readonly #file: LmdbFile
  readonly #tree: Tree
  readonly #seen: Uint8Array
  readonly #onDamage: OnDamage
  readonly #compare: (a: Buffer, b: Buffer) => number
  #last: Buffer | undefined
  #branches = 0
  #leaves = 0
  #overflow = 0
  #entries = 0
  #isWhole = true

  constructor(
    file: LmdbFile,
    tree: Tree,
    seen: Uint8Array,
    onDamage: OnDamage,
    compare: (a: Buffer, b: Buffer) => number = Buffer.compare
  ) {
    this.#file = file
    this.#tree = tree
    this.#seen = seen
    this.#onDamage = onDamage
    this.#compare = compare
  }

  run(txnid: number): void {
    const { root, depth, branchPages, leafPages, overflowPages, entries } = this.#tree
    if (root !== undefined) this.#guarded(() => this.#page(root, txnid, 1))
    if (!this.#isWhole) return
    const counted = [this.#branches, this.#leaves, this.#overflow, this.#entries]
    if (String(counted) !== String([branchPages, leafPages, overflowPages, entries])) {
      this.#onDamage(
        new PageDamage(
          root ?? 0,
          `the tree has ${counted.join(", ")} branches, leaves, overflow pages, entries, not as it says ${branchPages}, ${leafPages}, ${overflowPages}, ${entries}`
        )
      )
    } else if (root === undefined && depth !== 0) this.#onDamage(new PageDamage(0, "an empty tree has a depth"))
  }

  #guarded(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof PageDamage)) throw error
      this.#isWhole = false
      this.#onDamage(error)
    }
  }

  #mark(number: number): void {
    if (number < 2 || number >= this.#seen.length) throw new PageDamage(number, "is none of the file's")
    if (this.#seen[number] === 1) throw new PageDamage(number, "belongs to two places")
    this.#seen[number] = 1
  }

  #page(number: number, txnidMax: number, depth: number): void {
    this.#mark(number)
    const page = this.#file.readPage(number, txnidMax)
    if (page.isLeaf !== (depth === this.#tree.depth)) throw new PageDamage(number, `is not at the depth of its tree`)
    if (page.isLeaf) this.#leaves++
    else this.#branches++
    for (let i = 0; i < page.nodes; i++) {
      const node = this.#file.readNode(page, i)
      if (!page.isLeaf) {
        this.#guarded(() => this.#page(node.child, page.txnid, depth + 1))
        continue
      }
      if (this.#last !== undefined && this.#compare(this.#last, node.key) >= 0) {
        throw new PageDamage(number, `the key of node ${i} is out of order`)
      }
      this.#last = node.key
      this.#entries++
      for (const each of this.#file.overflowOf(page, node)) {
        this.#mark(each)
        this.#overflow++
      }
    }
  }
}

const throwIfNoMeta = (head: Buffer, page: number): void => {
  const isMeta = (head.readUInt16LE(18) & pageFlags.meta) !== 0
  if (!isMeta || head.readUInt32LE(pageHeaderBytes) !== magic) throw new PageDamage(page, "is no meta page of LMDB")
  const version = head.readUInt32LE(pageHeaderBytes + 4)
  if (version !== dataVersion) throw new PageDamage(page, `is of version ${version} of LMDB's format`)
}

const pageBytesOf = (head: Buffer): number => {
  const bytes = head.readUInt32LE(pageHeaderBytes + 24)
  if (bytes < 512 || bytes > 65_536 || (bytes & (bytes - 1)) !== 0) throw new PageDamage(0, `pages of ${bytes} bytes`)
  return bytes
}
