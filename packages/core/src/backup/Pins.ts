import * as fs from "node:fs"
import * as path from "node:path"
import { listSegments, type ListedSegment, type Listing } from "../doctor/segments.ts"
import { acquireLock } from "../journal/lock.ts"
import { pinsPrefix, removeStalePins } from "../journal/pinNames.ts"
import { unlinkInSteps } from "../journal/segmentFiles.ts"
import { parseSegmentName } from "../journal/segmentNames.ts"

/** A listing and its links take less than a millisecond, a settling takes longer by far. */
const attemptsMax = 100

/**
 * Keeps the segments of a data directory while a backup reads them: each gets a second name, a hard link in
 * `pins-XXXXXX` within the data directory. A server that needs a segment no more removes its own name for it, and neither
 * cuts a file that has another name nor begins a new segment in it (`unlinkInSteps`, `SpareFiles`).
 * Where no link can be made (a data directory that is mounted read-only, or another user's), nothing is kept.
 */
export class Pins {
  readonly #dataDir: string
  #directory: string | undefined
  /** Why nothing is kept; undefined if it is. */
  refused: string | undefined

  private constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  static make(dataDir: string): Pins {
    const pins = new Pins(dataDir)
    try {
      removeStalePins(dataDir)
      pins.#directory = fs.mkdtempSync(path.join(dataDir, pinsPrefix))
      acquireLock(pins.#directory)
    } catch (error) {
      pins.#refuse(error)
    }
    return pins
  }

  #refuse(error: unknown): void {
    this.refused = (error as Error).message
    this.release()
  }

  /** The data directory as it is now, its segments by names that nobody takes away. Throws `JournalError` "Io". */
  take(): Listing {
    for (let attempt = 1; ; attempt++) {
      const listing = listSegments(this.#dataDir)
      if (this.#directory === undefined || attempt === attemptsMax) return listing
      const segments: Array<ListedSegment> = []
      try {
        for (const segment of listing.segments) segments.push(this.#linked(segment, this.#directory))
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code !== "ENOENT" && code !== "EEXIST") this.#refuse(error)
      }
      const isWhole = segments.length === listing.segments.length && isDense(segments)
      if (isWhole && listing.segments.every(({ file }) => fs.existsSync(file))) return { ...listing, segments }
    }
  }

  #linked(segment: ListedSegment, directory: string): ListedSegment {
    const file = path.join(directory, segment.name)
    fs.rmSync(file, { force: true })
    fs.linkSync(segment.file, file)
    return { ...segment, file, bytes: fs.statSync(file).size }
  }

  /** This one was read. */
  async free({ file }: ListedSegment): Promise<void> {
    if (this.#directory === undefined || path.dirname(file) !== this.#directory) return
    await unlinkInSteps(file)
  }

  release(): void {
    if (this.#directory !== undefined) fs.rmSync(this.#directory, { recursive: true, force: true })
    this.#directory = undefined
  }
}

/** A listing that was made while a file took another's place may have neither. */
const isDense = (segments: ReadonlyArray<ListedSegment>): boolean =>
  segments.every(({ name }, i) => {
    const before = segments[i - 1]
    return before === undefined || parseSegmentName(before.name)!.lastNumber + 1 === parseSegmentName(name)!.number
  })
