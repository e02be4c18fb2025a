import type { Seq } from "../journal/Journal.ts"

/**
 * The kind of a fault.
 * `page`: LMDB's own structure; `frame`: events cannot be read; `records`: a reference's bytes are missing or damaged;
 * `gap`: events are missing; `offsets`: a log is not dense; `epoch`: epochs do not rise; `snapshot`, `state`: states
 * cannot be loaded or differ from those that were live; `segment`: a file cannot be read at all; `leftover`, `lock`,
 * `space`: nothing is lost.
 */
export type FindingKind =
  | "segment"
  | "page"
  | "frame"
  | "gap"
  | "records"
  | "offsets"
  | "epoch"
  | "snapshot"
  | "state"
  | "leftover"
  | "lock"
  | "space"

export interface Finding {
  readonly kind: FindingKind
  /** False for what is only worth knowing. */
  readonly isDamage: boolean
  /** The file's name. */
  readonly segment: string | undefined
  readonly seq: Seq | undefined
  readonly logId: number | undefined
  readonly baseOffset: number | undefined
  readonly lastOffset: number | undefined
  readonly message: string
}

type Place = Partial<Pick<Finding, "segment" | "seq" | "logId" | "baseOffset" | "lastOffset">>

const findingsMax = 1000

/** Findings in the order in which they were made, the first 1,000 of them. */
export class Findings {
  readonly list: Array<Finding> = []
  /** Those not in the list. */
  more = 0
  damages = 0

  damage(kind: FindingKind, message: string, place: Place = {}): void {
    this.damages++
    this.#add(kind, true, message, place)
  }

  notice(kind: FindingKind, message: string, place: Place = {}): void {
    this.#add(kind, false, message, place)
  }

  /** Takes a finding that was made elsewhere. */
  take({ kind, isDamage, message, ...place }: Finding): void {
    if (isDamage) this.damages++
    this.#add(kind, isDamage, message, place)
  }

  #add(kind: FindingKind, isDamage: boolean, message: string, place: Place): void {
    if (this.list.length >= findingsMax) {
      this.more++
      return
    }
    const { segment, seq, logId, baseOffset, lastOffset } = place
    this.list.push({ kind, isDamage, message, segment, seq, logId, baseOffset, lastOffset })
  }
}
