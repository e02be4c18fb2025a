import type { Seq } from "../journal/Journal.ts"

/** The facts that are known from the segments before. */
export interface ChainState {
  /** Where the next frame must begin; undefined before the first segment. */
  nextSeq: Seq | undefined
  epoch: number
  timeMs: number
  frames: number
  events: number
  records: number
  bytes: number
  /** By log: one after the last offset. */
  readonly logEnds: Map<number, number>
  /** Everything before this seq is whole; undefined as long as everything is. */
  firstBadSeq: Seq | undefined
}

export const emptyChain = (): ChainState => ({
  nextSeq: undefined,
  epoch: 0,
  timeMs: 0,
  frames: 0,
  events: 0,
  records: 0,
  bytes: 0,
  logEnds: new Map(),
  firstBadSeq: undefined
})

/** Offsets of one log that a segment's frames refer to. */
export interface Covered {
  readonly baseOffset: number
  endOffset: number
}
