import type { Commit, Seq } from "../journal/Journal.ts"

/** The newest commits' bytes as they went to the disk, so that followers read no segment. At most `bytesMax`. */
export class Tail {
  readonly #bytesMax: number
  readonly #commits = new Map<Seq, Commit>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  add(commit: Commit): void {
    this.#commits.set(commit.firstSeq, commit)
    this.#bytes += commit.byteLength
    for (const [seq, oldest] of this.#commits) {
      if (this.#bytes <= this.#bytesMax) break
      this.#commits.delete(seq)
      this.#bytes -= oldest.byteLength
    }
  }

  get(seq: Seq): Commit | undefined {
    return this.#commits.get(seq)
  }
}
