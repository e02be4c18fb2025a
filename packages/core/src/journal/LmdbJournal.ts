import * as fs from "node:fs"
import * as path from "node:path"
import { SegmentFile } from "./SegmentFile.ts"
import type { LastEnd } from "../FileLock.ts"
import { makeDirectory } from "../makeDirectory.ts"
import type { Commit, Seq, SnapshotPage } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"
import { LmdbSegment } from "./LmdbSegment.ts"
import { acquireLock, leaveSuspect, releaseLock, throwIfHeld } from "./lock.ts"
import { Occupancy } from "./Occupancy.ts"
import { openChain } from "./openChain.ts"
import { closeAll, rollShareMax, SegmentChain, type Link, type Replacement, type RollOptions } from "./SegmentChain.ts"
import type { SegmentStorage, TellWritten } from "./SegmentChain.ts"
import { removeStalePins } from "./pinNames.ts"
import { lockOf, removeEnvironment, syncDirectory, temporaryFile, unlinkInSteps } from "./segmentFiles.ts"
import type { SegmentName } from "./segmentNames.ts"
import { SpareFiles } from "./SpareFiles.ts"

export interface LmdbJournalOptions extends RollOptions {
  readonly directory: string
}

/** The journal as LMDB environments in one directory, for one writer. */
export class LmdbJournal extends SegmentChain<LmdbSegment> {
  readonly #directory: string
  readonly #occupancy: Occupancy
  readonly #storage: LmdbStorage

  private constructor(options: LmdbJournalOptions, chain: Array<Link<LmdbSegment>>, occupancy: Occupancy) {
    const storage = new LmdbStorage(options)
    super(storage, options, chain)
    this.#directory = options.directory
    this.#occupancy = occupancy
    this.#storage = storage
  }

  /** Throws `JournalError`: an unknown format, a gap in seq, a torn frame at the end of a chain, or a directory in use. */
  static open(options: LmdbJournalOptions): LmdbJournal {
    makeDirectory(options.directory)
    const { occupancy, lastEnd } = takeDirectory(options.directory)
    const chain: Array<Link<LmdbSegment>> = []
    try {
      removeStalePins(options.directory)
      openChain({ directory: options.directory, mapBytes: mapBytesOf(options), lastEnd }, chain)
      return new LmdbJournal(options, chain, occupancy)
    } catch (error) {
      void closeAll(chain)
      if (lastEnd === "clean") releaseLock(options.directory)
      else leaveSuspect(options.directory)
      void occupancy.release()
      throw error
    }
  }

  /** Whether the disk has room for files that hold nothing. */
  set hasRoomForSpares(hasRoom: () => boolean) {
    this.#storage.hasRoomForSpares = hasRoom
  }

  /** The disk has no room for them. Throws what the file system says. */
  dropSpares(): void {
    this.#storage.spares.drop()
  }

  override async close(): Promise<void> {
    await super.close()
    releaseLock(this.#directory)
    await this.#occupancy.release()
  }
}

/** A directory of segments' files. */
class LmdbStorage implements SegmentStorage<LmdbSegment> {
  readonly #directory: string
  readonly #mapBytes: number
  readonly spares: SpareFiles
  hasRoomForSpares = (): boolean => true

  constructor(options: LmdbJournalOptions) {
    this.#directory = options.directory
    this.#mapBytes = mapBytesOf(options)
    this.spares = new SpareFiles(options.directory, options.segmentBytes)
  }

  create({ name }: SegmentName, firstSeq: Seq): LmdbSegment {
    const segment = LmdbSegment.create(path.join(this.#directory, name), this.#mapBytes, firstSeq, this.spares.take())
    syncDirectory(this.#directory)
    return segment
  }

  write(segment: LmdbSegment, commit: Commit, tell: TellWritten): void {
    segment.write(commit).then(tell, failing(tell))
  }

  writePage(segment: LmdbSegment, fromSeq: Seq, index: number, page: SnapshotPage, tell: TellWritten): void {
    segment.writePage(fromSeq, index, page).then(tell, failing(tell))
  }

  seal(segment: LmdbSegment, fromSeq: Seq, pages: number, tell: TellWritten): void {
    segment.seal(fromSeq, pages).then(tell, failing(tell))
  }

  target({ number }: SegmentName): Pick<Replacement, "target" | "mapBytes"> {
    return { target: temporaryFile(this.#directory, number), mapBytes: this.#mapBytes }
  }

  adopt({ target }: Replacement, { name }: SegmentName): { readonly segment: LmdbSegment; readonly bytes: number } {
    const file = path.join(this.#directory, name)
    fs.renameSync(target, file)
    fs.rmSync(lockOf(target), { force: true })
    const segment = this.#opened(file)
    return { segment, bytes: fs.statSync(file).size }
  }

  /** A file that has just got its name. If it cannot be used it is removed: a later start would find it in the place of newer ones. */
  #opened(file: string): LmdbSegment {
    try {
      syncDirectory(this.#directory)
      return LmdbSegment.open(file, this.#mapBytes)
    } catch (error) {
      removeEnvironment(file)
      throw error
    }
  }

  /** It is read from end to end, runs included: once it has its name a start takes it, and removes the sources. */
  throwIfIncomplete({ target, sources }: Replacement): void {
    const written = SegmentFile.open(target)
    try {
      const { isSettled, firstSeq, nextSeq } = written
      const isWhole = isSettled && firstSeq === sources[0]!.firstSeq && nextSeq === sources.at(-1)!.nextSeq
      if (!isWhole) throw new JournalError("Corrupt", `${target} is not complete`)
      written.visitRuns(() => undefined)
    } finally {
      written.close()
    }
  }

  discardTarget(target: string): void {
    removeEnvironment(target)
  }

  async remove(file: string): Promise<void> {
    // A removal that was cut short may have renamed or unlinked it.
    const isThere = fs.existsSync(file)
    if (isThere && !(this.hasRoomForSpares() && this.spares.keep(file))) await unlinkInSteps(file)
    await fs.promises.rm(lockOf(file), { force: true })
  }

  removed(): void {
    syncDirectory(this.#directory)
  }
}

const failing =
  (tell: TellWritten) =>
  (error: unknown): void =>
    tell(error instanceof Error ? error : new Error(String(error)))

/** For one writer. Throws `JournalError` "Locked" while there is another, whether or not its process can be seen from here. */
const takeDirectory = (directory: string): { readonly occupancy: Occupancy; readonly lastEnd: LastEnd } => {
  throwIfHeld(directory)
  const occupancy = Occupancy.take(directory)
  try {
    return { occupancy, lastEnd: acquireLock(directory) }
  } catch (error) {
    void occupancy.release()
    throw error
  }
}

/**
 * The map is preset, so that it never grows: room for the segment, whose pages may be half empty, its last commits, and
 * LMDB's copies of pages.
 */
const mapBytesOf = ({ segmentBytes }: RollOptions): number => segmentBytes * 2 * rollShareMax + 1024 * 1024 * 1024
