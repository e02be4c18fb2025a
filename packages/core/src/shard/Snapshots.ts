import type { ActorId } from "../actor/Definition.ts"
import { stateVersionOf } from "../actor/savedState.ts"
import type { Journal, Seq } from "../journal/Journal.ts"
import type { ActorTable } from "./ActorTable.ts"
import { encodePage, savedActor, type SavedActor } from "./Replay.ts"
import type { Recovery } from "./recover.ts"

/** A new snapshot begins after this many events, so that a start folds no more than these. */
const eventsPerSnapshot = 200_000

interface Taking {
  readonly fromSeq: Seq
  readonly ids: ReadonlyArray<ActorId>
  at: number
  pages: number
  isAbandoned: boolean
}

/**
 * Fuzzy snapshots: one page per turn, each with the states as they are before its seq, a seal at the end.
 * The list of actors is fixed at the beginning, and one that has become empty meanwhile is written as such:
 * a replay then folds no event twice, and none into a state that lacks those before it.
 */
export class Snapshots {
  readonly #journal: Journal
  readonly #pageBytesMax: number
  readonly #actors: ActorTable
  readonly #onDefect: (where: string, defect: unknown) => void
  #taking: Taking | undefined
  #lastFromSeq: Seq = 0
  /** The seq where the newest sealed snapshot begins: a replay needs nothing before it. */
  sealedFromSeq: Seq = 0
  #writtenSegmentSeq: Seq = 1

  constructor(
    journal: Journal,
    pageBytesMax: number,
    actors: ActorTable,
    onDefect: (where: string, defect: unknown) => void
  ) {
    this.#journal = journal
    this.#pageBytesMax = pageBytesMax
    this.#actors = actors
    this.#onDefect = onDefect
  }

  get isTaking(): boolean {
    return this.#taking !== undefined
  }

  recovered(recovery: Recovery): void {
    this.#taking = undefined
    this.#lastFromSeq = this.sealedFromSeq = recovery.snapshotFromSeq ?? 0
    this.#writtenSegmentSeq = this.#journal.writtenSegmentSeq
  }

  /** After a turn was appended: begins a snapshot when one is due, else writes the next page of the one under way. */
  turn(nextSeq: Seq): void {
    if (this.#taking !== undefined) this.#page(this.#taking, nextSeq)
    else if (this.#isDue(nextSeq)) this.#begin(nextSeq)
  }

  #isDue(nextSeq: Seq): boolean {
    // Two of the same point would have the same pages' keys.
    if (nextSeq === this.#lastFromSeq) return false
    if (nextSeq - this.#lastFromSeq >= eventsPerSnapshot) return true
    const { writtenSegmentSeq } = this.#journal
    if (writtenSegmentSeq === this.#writtenSegmentSeq) return false
    this.#writtenSegmentSeq = writtenSegmentSeq
    return true
  }

  #begin(fromSeq: Seq): void {
    this.#lastFromSeq = fromSeq
    this.#taking = { fromSeq, ids: this.#actors.ids(), at: 0, pages: 0, isAbandoned: false }
  }

  #page(taking: Taking, seq: Seq): void {
    const page = this.#collect(taking)
    if (page === undefined) {
      this.#abandon(taking)
      return
    }
    const { fromSeq } = taking
    if (page.length > 0) {
      this.#journal.writePage(fromSeq, taking.pages++, encodePage(seq, page), (ok) => {
        if (!ok) this.#abandon(taking)
      })
    }
    if (taking.at < taking.ids.length) return
    this.#taking = undefined
    this.#journal.completeSnapshot(fromSeq, taking.pages, (ok) => {
      if (ok && !taking.isAbandoned) this.sealedFromSeq = Math.max(this.sealedFromSeq, fromSeq)
    })
  }

  /** The next actors' states; undefined if one cannot be saved, since a snapshot without it would lose it. */
  #collect(taking: Taking): Array<SavedActor> | undefined {
    const page: Array<SavedActor> = []
    let bytes = 0
    while (taking.at < taking.ids.length && bytes < this.#pageBytesMax) {
      const id = taking.ids[taking.at++]!
      try {
        const saved = this.#actors.saved(id) ?? null
        page.push(savedActor(id, saved, stateVersionOf(this.#actors.definition(id))))
        bytes += id.length + (saved?.length ?? 0)
      } catch (defect) {
        this.#onDefect(id, defect)
        return undefined
      }
    }
    return page
  }

  #abandon(taking: Taking): void {
    taking.isAbandoned = true
    if (this.#taking === taking) this.#taking = undefined
  }
}
