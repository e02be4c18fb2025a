export interface TopTopic {
  readonly topic: string
  /** It came at least so often, and `countErrorMax` more at most. */
  readonly count: number
}

const capacityDefault = 1024

/**
 * The topics that come most often, of any number of topics, in bounded memory: a Frequent Items sketch (Misra and Gries 1982,
 * with purges by the median as of Anderson et al. 2017). A topic that comes more than `countErrorMax` times is there. Once
 * it is full, the lower half of the counts goes and the rest loses as much: a purge pays for at least half a capacity of new topics.
 */
export class TopTopics {
  readonly #capacity: number
  #counts = new Map<string, number>()
  readonly #sorted: Float64Array
  /** By so much a count may be too low, and so often a topic may have come that is not there. */
  countErrorMax = 0
  /** The count of all topics together. */
  total = 0

  constructor(capacity = capacityDefault) {
    this.#capacity = capacity
    this.#sorted = new Float64Array(capacity)
  }

  add(topic: string): void {
    this.total++
    const count = this.#counts.get(topic)
    if (count === undefined && this.#counts.size >= this.#capacity) this.#purge()
    this.#counts.set(topic, (count ?? 0) + 1)
  }

  #purge(): void {
    let at = 0
    for (const count of this.#counts.values()) this.#sorted[at++] = count
    const median = this.#sorted.sort()[this.#capacity >>> 1]!
    this.countErrorMax += median
    const left = new Map<string, number>()
    for (const [topic, count] of this.#counts) if (count > median) left.set(topic, count - median)
    this.#counts = left
  }

  /** The most frequent first. */
  top(limit: number): ReadonlyArray<TopTopic> {
    return Array.from(this.#counts, ([topic, count]) => ({ topic, count }))
      .sort((a, b) => b.count - a.count)
      .slice(0, limit)
  }
}
