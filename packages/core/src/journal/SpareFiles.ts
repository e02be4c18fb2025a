import * as fs from "node:fs"
import * as path from "node:path"
import { namesIn, syncDirectory } from "./segmentFiles.ts"

const pattern = /^spare-(\d{8,})\.mdb$/
const spareName = (number: number): string => `spare-${String(number).padStart(8, "0")}.mdb`

const numberOf = (name: string): number => Number(pattern.exec(name)![1])

/** As many as closed segments may wait to be settled. */
const filesMax = 2

/** Whether it is a file of a data directory that says nothing. */
export const isSpare = (name: string): boolean => pattern.test(name)

/**
 * Files of segments that nobody needs any more, until the next ones begin in them. To write into pages that the page
 * cache and the file system have already costs much less than to make new ones (docs/lab/performance.md). LMDB never
 * reads what a file has behind the last page of the environment that begins in it, as it does not read its own free
 * pages.
 */
export class SpareFiles {
  readonly #directory: string
  readonly #segmentBytes: number
  /** The newest last. */
  readonly #files: Array<string>
  #nextNumber: number

  /** `segmentBytes`: of a full segment; a file that is much smaller or larger is not worth it. */
  constructor(directory: string, segmentBytes: number) {
    this.#directory = directory
    this.#segmentBytes = segmentBytes
    // Those that a former process has left are good as well, unless segments had another size then.
    const found = namesIn(directory)
      .filter(isSpare)
      .sort((a, b) => numberOf(a) - numberOf(b))
    this.#nextNumber = 1 + (found.length === 0 ? 0 : numberOf(found.at(-1)!))
    this.#files = found.filter((name) => this.#isFit(path.join(directory, name)))
    for (const name of found) if (!this.#files.includes(name)) fs.rmSync(path.join(directory, name))
  }

  /** A file that has another name, for a backup that reads it, must stay as it is. */
  #isFit(file: string): boolean {
    const { size, nlink } = fs.statSync(file)
    return nlink === 1 && size >= this.#segmentBytes / 2 && size <= this.#segmentBytes * 2
  }

  /** Takes over a file that nobody has open, or sees it off; false: it has to be removed. Throws what the file system says. */
  keep(file: string): boolean {
    // Windows renames no file that somebody reads.
    if (this.#files.length >= filesMax || process.platform === "win32") return false
    if (!this.#isFit(file)) return false
    const name = spareName(this.#nextNumber++)
    const spare = path.join(this.#directory, name)
    fs.renameSync(file, spare)
    // It may have got another name just before the rename; from now on it cannot.
    const isFit = this.#isFit(spare)
    if (!isFit) fs.rmSync(spare)
    // Else a power cut could bring the old name back, with what has begun in the file by then.
    syncDirectory(this.#directory)
    if (isFit) this.#files.push(name)
    return true
  }

  /** A file that is the caller's from now on: the newest, of which the page cache has most. */
  take(): string | undefined {
    const name = this.#files.pop()
    return name === undefined ? undefined : path.join(this.#directory, name)
  }

  /** Gives up all of them at once. Throws what the file system says. */
  drop(): void {
    for (let file = this.take(); file !== undefined; file = this.take()) fs.rmSync(file)
  }
}
