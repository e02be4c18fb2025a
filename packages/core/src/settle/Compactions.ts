import type { Clock } from "../Clock.ts"
import type { Seq } from "../journal/Journal.ts"
import type { RewritableChain } from "../journal/SegmentChain.ts"
import type { LogStore } from "../storage/LogStore.ts"
import type { Work } from "./choose.ts"
import { chooseCompaction, type CompactionCandidate, type CompactionSettings } from "./chooseCompaction.ts"
import type { CleanedLog, CompactedLog, CompactionJob } from "./SettleJob.ts"

export interface CompactionOptions {
  /** The logs that are compacted, now. */
  readonly settings: () => Iterable<readonly [logId: number, settings: CompactionSettings]>
  /** The most bytes of the table of keys: each key takes 24 bytes, and a third of the table stays free. */
  readonly mapBytesMax: number
  /** A log is clean below this offset, in all its segments: nothing is left there of transactions that were aborted. */
  readonly onCleaned?: (logId: number, toOffset: number) => void
}

/** The work that rewrites one segment of a compaction. */
export interface CompactWork extends Work {
  readonly kind: "compact"
  /** First seqs of the segments whose keys it reads. */
  readonly readSeqs: ReadonlyArray<Seq>
  readonly compaction: CompactionJob
}

/** The least segments that a compaction cleans at once, while little is clean. */
const dirtySegmentsMin = 4

interface Round {
  readonly nowMs: number
  readonly logs: Map<number, CompactedLog>
  /** Segments before this are done. */
  doneTo: Seq
}

/**
 * Says which segment a compaction rewrites next. A compaction takes some logs, fixes how far they are cleaned, and goes
 * through all segments that have runs of them, **the oldest first**:
 *
 * 1. The extent of what is left of a run says that it was cleaned (`Extent.isCompacted`). Cleaned runs come before all
 *    others of their log, and none of their records has a newer one among them.
 * 2. A tombstone gets its delete horizon when its own segment is written: all that it hides in older ones is gone by then.
 * 3. Nothing of it is journaled. A compaction that was interrupted begins again, and finds the segments clean that it
 *    had done.
 *
 * No segment is merged or rewritten for another reason before it is through. Between two of them they are: what is clean lies in
 * few segments then, and for each of those the keys of all that is dirty are read.
 */
export class Compactions {
  readonly #options: CompactionOptions
  readonly #journal: Pick<RewritableChain, "segments" | "replacement">
  readonly #logs: LogStore
  readonly #clock: Clock
  #round: Round | undefined

  constructor(
    options: CompactionOptions,
    journal: Pick<RewritableChain, "segments" | "replacement">,
    logs: LogStore,
    clock: Clock
  ) {
    this.#options = options
    this.#journal = journal
    this.#logs = logs
    this.#clock = clock
  }

  /** Undefined: there is nothing to compact. Logs with runs in segments that were given up, or are the last, stay as they are. */
  begin(isGivenUp: (firstSeq: Seq) => boolean): CompactWork | undefined {
    this.#round = this.#planned(isGivenUp)
    return this.goOn()
  }

  /** Undefined: none is under way, or the one that was is through. */
  goOn(): CompactWork | undefined {
    const round = this.#round
    if (round === undefined) return undefined
    const firstSeq = this.#nextSegment(round)
    if (firstSeq === undefined) {
      this.#round = undefined
      for (const { logId, cleanTo } of round.logs.values()) this.#options.onCleaned?.(logId, cleanTo)
      return undefined
    }
    const { nowMs, logs } = round
    const { mapBytesMax } = this.#options
    const readSeqs = this.#readSeqs(round)
    const chain = readSeqs.flatMap((seq) => this.#journal.replacement([seq])?.sources[0]?.path ?? [])
    const compaction = { nowMs, mapBytesMax, logs: [...logs.values()], chain }
    return { kind: "compact", firstSeqs: [firstSeq], readSeqs, compaction }
  }

  /** The segment is rewritten, and readers have gone over. */
  done({ firstSeqs }: Work, cleaned: ReadonlyArray<CleanedLog>): void {
    const round = this.#round
    if (round === undefined) return
    round.doneTo = firstSeqs[0]! + 1
    for (const { logId, cleanTo, unended } of cleaned) {
      const log = round.logs.get(logId)!
      round.logs.set(logId, { ...log, cleanTo: Math.min(log.cleanTo, cleanTo), unended })
    }
  }

  /** A compaction that failed is begun again from its first segment on. */
  failed(): void {
    this.#round = undefined
  }

  #planned(isGivenUp: (firstSeq: Seq) => boolean): Round | undefined {
    const nowMs = this.#clock.nowMs()
    const candidates: Array<CompactionCandidate> = []
    for (const [logId, settings] of this.#options.settings()) {
      const { minCompactionLagMs } = settings
      // Without a lag a producer's clock that goes ahead holds nothing up.
      const toMs = minCompactionLagMs > 0 ? nowMs - minCompactionLagMs : Infinity
      const log = this.#logs.find(logId)
      const compactable = log?.index.compactable(toMs, dirtySegmentsMin, log.lastStableOffset)
      // The last one is settled if the file after it was lost: until the next roll nothing may replace it.
      const isFit = (seq: Seq): boolean => !isGivenUp(seq) && this.#journal.replacement([seq]) !== undefined
      if (compactable?.segments.every(isFit) === true) {
        candidates.push({ logId, settings, compactable })
      }
    }
    const segmentBytes = new Map(this.#journal.segments().map(({ firstSeq, bytes }) => [firstSeq, bytes]))
    const chosen = chooseCompaction(candidates, nowMs, segmentBytes)
    if (chosen.length === 0) return undefined
    const logs = chosen.map(({ logId, settings: { deleteRetentionMs }, compactable: { dirtyFrom, cleanTo } }) => {
      const log = this.#logs.log(logId)
      const planned: CompactedLog = {
        logId,
        dirtyFrom: dirtyFrom!,
        cleanTo,
        logEndOffset: log.highWatermark,
        deleteRetentionMs,
        aborted: log.abortedWithin(0, cleanTo),
        unended: []
      }
      return [logId, planned] as const
    })
    return { nowMs, logs: new Map(logs), doneTo: 0 }
  }

  /** The oldest that is not done and has runs to look at. */
  #nextSegment({ logs, doneTo }: Round): Seq | undefined {
    let next = Infinity
    for (const { logId, cleanTo } of logs.values()) {
      const index = this.#logs.find(logId)?.index
      const i = index?.findSeq(doneTo) ?? 0
      if (index === undefined || i >= index.count) continue
      const { place, baseOffset, frameSeq } = index.at(i)
      if (place === "run" && baseOffset < cleanTo) next = Math.min(next, frameSeq)
    }
    return next === Infinity ? undefined : next
  }

  /** Settled segments from the oldest on that has keys to read. */
  #readSeqs({ logs }: Round): ReadonlyArray<Seq> {
    let fromSeq = Infinity
    for (const { logId, dirtyFrom } of logs.values()) {
      const index = this.#logs.find(logId)?.index
      const i = index?.find(dirtyFrom) ?? 0
      if (index !== undefined && i < index.count) fromSeq = Math.min(fromSeq, index.at(i).frameSeq)
    }
    return this.#journal
      .segments()
      .filter(({ firstSeq, isSettled }) => isSettled && firstSeq >= fromSeq)
      .map(({ firstSeq }) => firstSeq)
  }
}
