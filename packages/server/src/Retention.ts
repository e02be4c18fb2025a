import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { partitionActor, PartitionKind } from "@logbrook/actors/partition/Partition"
import { logIdOf } from "@logbrook/core/actor/LogEvents"
import { frameTimeMs } from "@logbrook/core/journal/Frame"
import type { Journal, Seq } from "@logbrook/core/journal/Journal"
import type { ExpiredSegments } from "@logbrook/core/shard/expiry"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { Shards } from "@logbrook/core/shard/Shards"
import { shardActor, type ShardCommand, ShardStates } from "@logbrook/core/shard/ShardActor"
import type { Broker } from "./Broker.ts"
import { RetentionClock, type ClockStart } from "./RetentionClock.ts"

const shardId = shardActor(0)

/** Partitions that were appended to are looked at this often, all of them every tenth time. */
export const lookEveryMs = 200
const fullLookEvery = 10

interface Rule {
  /** -1: no limit. */
  readonly retentionMs: number
  readonly retentionBytes: number
}

/** How long, and how much of it, the journal keeps events that no stream needs any more. */
export interface History {
  readonly historyMs: number
  readonly historyBytes: number
}

const noHistory: History = { historyMs: 0, historyBytes: 0 }
const noStart: ClockStart = { lastTimeMs: undefined, heldAtMs: undefined }

/** The start of the retention clock, by what a shard knows that has recovered and appended nothing yet. */
export const clockStartOf = (shards: Shards, journal: Pick<Journal, "nextSeq" | "scan">): ClockStart => {
  let lastTimeMs: number | undefined
  journal.scan(journal.nextSeq - 1, (frame) => {
    lastTimeMs = frameTimeMs(frame)
    return false
  })
  return { lastTimeMs, heldAtMs: shards.view(ShardStates).get(shardId)?.clockHeldAtMs }
}

/** Moves log start offsets by time and size, and lets logs and whole segments go that nobody can read any more. */
export class Retention {
  readonly #broker: Broker
  readonly #history: History
  readonly clock: RetentionClock
  readonly #touched = new Set<number>()
  #looks = 0
  #isDropping = false

  constructor(broker: Broker, history: History = noHistory, start: ClockStart = noStart) {
    this.#broker = broker
    this.#history = history
    this.clock = new RetentionClock(broker.clock, broker.limits, start)
    this.#tellOfTheClock()
    broker.shards.observe(PartitionKind, (actor, event) => {
      if (event._tag === "RecordsAppended") this.#touched.add(logIdOf(actor))
    })
  }

  #tellOfTheClock(): void {
    const { shards, log, metrics } = this.#broker
    metrics.declare("logbrook_retention_clock_held", "gauge", "1 while retention does not believe the machine's clock.")
    metrics.onCollect(() => metrics.set("logbrook_retention_clock_held", {}, this.clock.isHeld ? 1 : 0))
    const offer = (command: ShardCommand): void => void shards.tell(shardId, command, { origin: "retention" })
    this.clock.onHeld = (aheadMs, retentionAtMs) => {
      const retentionAt = new Date(retentionAtMs).toISOString()
      log.warn("the machine's clock ran ahead: retention goes by the time that has passed", { aheadMs, retentionAt })
      offer({ _tag: "HoldClock", aheadMs, retentionAtMs })
    }
    this.clock.onTrusted = (reason) => {
      log.warn("retention goes by the machine's clock again", { reason })
      offer({ _tag: "TrustClock", reason })
    }
  }

  look(): void {
    this.clock.look()
    const { all } = this.#broker.shards
    const isFull = ++this.#looks % fullLookEvery === 0
    const nowMs = this.clock.nowMs()
    const due = isFull ? all.flatMap(({ logs }) => Array.from(logs.logs(), ({ id }) => id)) : [...this.#touched]
    this.#touched.clear()
    for (const logId of due) this.#enforce(logId, nowMs)
    if (!isFull) return
    void this.#dropSegments()
  }

  #rule(logId: number): Rule | undefined {
    const { directory, limits, shards } = this.#broker
    if (shards.isOwnLog(logId)) {
      return { retentionMs: limits.sessionExpiryMsMax, retentionBytes: limits.sessionLogBytesMax }
    }
    const found = directory.byLogId(logId)
    const config = found && effectiveConfig(found.stream.config)
    return config?.isExpiring === true ? config : undefined
  }

  #enforce(logId: number, nowMs: number): void {
    const rule = this.#rule(logId)
    // A stream may be compacted only, or deleted since it was appended to; asking for its log would make a new one.
    if (rule === undefined) return
    const logs = this.#broker.shards.logsOf(logId)
    const log = logs.log(logId)
    const byTime = rule.retentionMs < 0 ? 0 : logs.expiredBefore(log, nowMs - rule.retentionMs)
    const byBytes = rule.retentionBytes < 0 ? 0 : log.expiredAbove(rule.retentionBytes)
    const offset = Math.max(byTime, byBytes)
    if (offset <= log.startOffset) return
    const reason = byTime >= byBytes ? "retention.ms" : "retention.bytes"
    this.#broker.shards.tell(partitionActor(log.id), { _tag: "MoveLogStart", offset, reason }, { origin: "retention" })
  }

  /** Where a shard's events begin that are kept: those that a start needs, and the history before them. */
  keptFromSeq(shard: Shard): Seq {
    return shard.keptFromSeq((expired) => this.#isHistory(expired))
  }

  /** The past gives way to the present: never while the disk has little room. */
  #isHistory({ bytes, endedAtMs }: ExpiredSegments): boolean {
    const { disk } = this.#broker
    const { historyMs, historyBytes } = this.#history
    return this.clock.nowMs() - endedAtMs < historyMs && bytes <= historyBytes && !disk.isTight
  }

  async #dropSegments(): Promise<void> {
    if (this.#isDropping) return
    this.#isDropping = true
    const { shards, log } = this.#broker
    try {
      let dropped = 0
      for (const shard of shards.all) dropped += await shard.dropExpiredSegments((expired) => this.#isHistory(expired))
      if (dropped > 0) log.info("expired segments dropped", { segments: dropped })
    } catch (error) {
      log.error("an expired segment could not be dropped", { error: String(error) })
    }
    this.#isDropping = false
  }
}
