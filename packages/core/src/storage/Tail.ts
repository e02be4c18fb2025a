import type { BufferPool } from "../BufferPool.ts"
import type { Commit, Seq } from "../journal/Journal.ts"

/** The newest commits' bytes as they went to the disk, so that followers read no segment. At most `bytesMax`. Their buffers are used again. */
export class Tail {
  readonly #bytesMax: number
  readonly #buffers: BufferPool
  readonly #commits = new Map<Seq, Commit>()
  /** Oldest first from `#head` on. To ask a map for its oldest entry means to pass over all that were deleted. */
  #order: Array<Commit> = []
  #head = 0
  #bytes = 0

  constructor(bytesMax: number, buffers: BufferPool) {
    this.#bytesMax = bytesMax
    this.#buffers = buffers
  }

  get commits(): number {
    return this.#commits.size
  }

  add(commit: Commit): void {
    this.#commits.set(commit.firstSeq, commit)
    this.#order.push(commit)
    this.#bytes += commit.byteLength
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.#order[this.#head++]!
      this.#commits.delete(oldest.firstSeq)
      this.#bytes -= oldest.byteLength
      for (const { bytes } of oldest.batches) this.#buffers.give(bytes)
    }
    if (this.#head * 2 <= this.#order.length) return
    this.#order = this.#order.slice(this.#head)
    this.#head = 0
  }

  get(seq: Seq): Commit | undefined {
    return this.#commits.get(seq)
  }

  /** A batch of these commits, a view that is valid until `add`; undefined if `commit` has none with this last offset. */
  batch(commit: Commit, logId: number, lastOffset: number): Uint8Array | undefined {
    return commit.batches.find((each) => each.logId === logId && each.lastOffset === lastOffset)?.bytes
  }
}
