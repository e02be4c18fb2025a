/** Buckets per doubling: a quantile is at most 4.5 % too high. */
const perDoubling = 16
const bucketsMax = 64 * perDoubling

/** Durations in ms, counted in buckets: any number of them takes the same room. */
export class Histogram {
  readonly #counts = new Float64Array(bucketsMax)
  count = 0
  maxMs = 0

  add(ms: number): void {
    const us = Math.max(1, ms * 1000)
    const bucket = Math.min(bucketsMax - 1, Math.floor(Math.log2(us) * perDoubling))
    this.#counts[bucket]!++
    this.count++
    if (ms > this.maxMs) this.maxMs = ms
  }

  /** So many of all, 0.99 of them, took no longer, in ms; 0 where there is none. */
  quantileMs(share: number): number {
    let left = Math.ceil(this.count * share)
    if (left === 0) return 0
    for (let bucket = 0; bucket < bucketsMax; bucket++) {
      left -= this.#counts[bucket]!
      if (left <= 0) return Math.min(this.maxMs, 2 ** ((bucket + 1) / perDoubling) / 1000)
    }
    return this.maxMs
  }
}
