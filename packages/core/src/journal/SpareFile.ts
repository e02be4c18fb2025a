import * as fs from "node:fs"
import * as path from "node:path"
import { syncDirectory } from "./segmentFiles.ts"

const spareName = "spare.mdb"

/** Whether it is a file of a data directory that says nothing. */
export const isSpare = (name: string): boolean => name === spareName

/**
 * The file of a segment that nobody needs any more, until the next one begins in it. To write into pages that the page
 * cache and the file system have already costs much less than to make new ones (docs/performance.md). What is behind the
 * last page of the environment that begins in it is never read, as LMDB's own free pages.
 */
export class SpareFile {
  readonly #directory: string
  readonly #file: string
  readonly #segmentBytes: number
  #isThere: boolean

  /** `segmentBytes`: of a full segment; a file that is much smaller or larger is not worth it. */
  constructor(directory: string, segmentBytes: number) {
    this.#directory = directory
    this.#file = path.join(directory, spareName)
    this.#segmentBytes = segmentBytes
    // One that a former process has left is good as well.
    this.#isThere = fs.existsSync(this.#file)
  }

  /** Takes over a file that nobody has open; false: it has to be removed. Throws what the file system says. */
  keep(file: string): boolean {
    // Windows renames no file that somebody reads.
    if (this.#isThere || process.platform === "win32") return false
    const { size } = fs.statSync(file)
    if (size < this.#segmentBytes / 2 || size > this.#segmentBytes * 2) return false
    fs.renameSync(file, this.#file)
    // Else a power cut could bring the old name back, with what has begun in the file by then.
    syncDirectory(this.#directory)
    this.#isThere = true
    return true
  }

  drop(): void {
    const file = this.take()
    if (file !== undefined) fs.rmSync(file)
  }

  /** The file, which is the caller's from now on. */
  take(): string | undefined {
    if (!this.#isThere) return undefined
    this.#isThere = false
    return this.#file
  }
}
