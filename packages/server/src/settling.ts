import * as path from "node:path"
import { partitionActor } from "@logbrook/actors/partition/Partition"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import type { Clock } from "@logbrook/core/Clock"
import { inChildProcess } from "@logbrook/core/settle/childProcess"
import type { Work } from "@logbrook/core/settle/choose"
import type { CompactionSettings } from "@logbrook/core/settle/chooseCompaction"
import { Settler, type Rewriting, type SettleFailure, type SettlerOptions } from "@logbrook/core/settle/Settler"
import type { Settled, SettleJob } from "@logbrook/core/settle/SettleJob"
import { parseSegmentName } from "@logbrook/core/journal/segmentNames"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Broker } from "./Broker.ts"
import type { StreamDirectory } from "./streams/StreamDirectory.ts"

const secondMs = 1000
/** A look at every run's reference costs some milliseconds per million, in steps. */
const lookEveryMs = 10_000
/** Syncs and renames for less are not worth it, unless segments are small. */
const freedBytesMin = (segmentBytes: number): number => Math.min(4 * 1024 * 1024, segmentBytes / 16)

const failureTexts: Readonly<Record<SettleFailure, string>> = {
  retried: "segment not settled: tried again",
  givenUp: "segment not settled: it stays as it is",
  notRemoved: "segment settled, its former file not removed: tried again"
}

export interface SettlingOptions {
  readonly rewriting: Rewriting
  /** The clock by which compaction goes: it drops tombstones by their age. */
  readonly clock: Clock
  /** Does the work; without it a child process does. */
  readonly work?: SettlerOptions["work"]
  readonly at?: SettlerOptions["at"]
  /** Hear what has become of the work, beside the log and the metrics. */
  readonly onSettled?: SettlerOptions["onSettled"]
  readonly onFailed?: SettlerOptions["onFailed"]
}

/** `segmentBytes`: at which a segment is rolled. Events before `keptFromSeq` need not be kept. */
export const rewritingOf = (segmentBytes: number, keptFromSeq: () => Seq): Rewriting => ({
  segmentBytes,
  freedBytesMin: freedBytesMin(segmentBytes),
  lookEveryMs,
  keptFromSeq
})

const declareAll = ({ metrics }: Broker): void => {
  metrics.declare("logbrook_settle_segments_unsettled", "gauge", "Closed segments that are not settled.")
  metrics.declare("logbrook_settle_holding", "gauge", "1 while appends wait for a segment to be settled.")
  metrics.declare("logbrook_settle_held_seconds_total", "counter", "Time that appends have waited for settling.")
  metrics.declare("logbrook_settle_seconds_total", "counter", "Time from the beginning to the end of settlings.")
  metrics.declare("logbrook_settle_segments_total", "counter", "Segments that were settled.")
  metrics.declare("logbrook_settle_failures_total", "counter", "Settlings, rewrites and merges that failed.")
  metrics.declare("logbrook_settle_records_total", "counter", "Records of segments that were settled.")
  metrics.declare("logbrook_settle_bytes_in_total", "counter", "Bytes of segments before they were settled.")
  metrics.declare("logbrook_settle_bytes_out_total", "counter", "Bytes of segments after they were settled.")
  metrics.declare(
    "logbrook_rewrite_segments_total",
    "counter",
    "Settled segments that were compacted, rewritten or merged, by kind."
  )
  metrics.declare(
    "logbrook_rewrite_seconds_total",
    "counter",
    "Time from the beginning to the end of compactions, rewrites and merges."
  )
  metrics.declare(
    "logbrook_rewrite_bytes_total",
    "counter",
    "Bytes that compactions, rewrites and merges have written."
  )
  metrics.declare("logbrook_rewrite_freed_bytes_total", "counter", "Bytes that they have given back.")
  metrics.declare("logbrook_settled_live_bytes", "gauge", "Of settled segments: what is needed, at the last look.")
  metrics.declare("logbrook_settled_dead_bytes", "gauge", "Of settled segments: what nobody needs, at the last look.")
  metrics.declare(
    "logbrook_write_amplification",
    "gauge",
    "Bytes of commits, settlings, rewrites and merges per byte of records appended, since the start."
  )
}

const count = (
  { metrics, log }: Broker,
  segment: string,
  { bytesIn, bytesOut, records }: Settled,
  durationMs: number,
  kind: Work["kind"]
): void => {
  if (kind === "settle") {
    metrics.add("logbrook_settle_segments_total", {})
    metrics.add("logbrook_settle_seconds_total", {}, durationMs / secondMs)
    metrics.add("logbrook_settle_records_total", {}, records)
    metrics.add("logbrook_settle_bytes_in_total", {}, bytesIn)
    metrics.add("logbrook_settle_bytes_out_total", {}, bytesOut)
    log.info("segment settled", { segment, records, bytesIn, bytesOut, durationMs })
    return
  }
  metrics.add("logbrook_rewrite_segments_total", { kind })
  metrics.add("logbrook_rewrite_seconds_total", {}, durationMs / secondMs)
  metrics.add("logbrook_rewrite_bytes_total", {}, bytesOut)
  metrics.add("logbrook_rewrite_freed_bytes_total", {}, Math.max(0, bytesIn - bytesOut))
  log.info(rewritten[kind], { segment, records, bytesIn, bytesOut, durationMs })
}

const rewritten = {
  compact: "segment compacted",
  rewrite: "segment rewritten",
  merge: "segments merged"
}

const kindOf = ({ compaction }: SettleJob, names: ReadonlyArray<string>): Work["kind"] => {
  if (compaction !== undefined) return "compact"
  if (names.length > 1) return "merge"
  return parseSegmentName(names[0]!)?.revision === 0 ? "settle" : "rewrite"
}

/** The logs of streams whose `cleanup.policy` has "compact" in it, now. */
export function* compactedLogs(
  directory: StreamDirectory
): Iterable<readonly [logId: number, settings: CompactionSettings]> {
  for (const { config, logIds } of directory.all().values()) {
    const settings = effectiveConfig(config)
    if (settings.isCompacted) for (const logId of logIds) yield [logId, settings]
  }
}

/** Has closed segments settled, compacted, rewritten and merged while the server runs. The caller stops it before the shard ends. */
export const startSettling = (
  broker: Broker,
  shard: Shard,
  journal: SettlerOptions["journal"] & { readonly appendedBytes: number },
  options: SettlingOptions
): Settler => {
  const { metrics, log } = broker
  const { clock, rewriting, at, work = inChildProcess } = options
  declareAll(broker)
  let heldSinceMs = 0
  let settledBytes = 0
  const settler = new Settler({
    journal,
    logs: shard.logs,
    clock,
    work: (job) => {
      const names = job.sources.map((source) => path.basename(source.path))
      log.debug("settling worker begins", { kind: kindOf(job, names), segments: names.join(" ") })
      return work(job)
    },
    onHold: (isHeld) => {
      shard.hold(isHeld)
      if (isHeld) {
        heldSinceMs = clock.monotonicMs()
        log.warn("appends wait: closed segments are not settled yet", {})
      } else metrics.add("logbrook_settle_held_seconds_total", {}, (clock.monotonicMs() - heldSinceMs) / secondMs)
    },
    rewriting,
    compaction: {
      settings: () => compactedLogs(broker.directory),
      mapBytesMax: broker.limits.compactionKeysBytesMax,
      onCleaned: (logId, toOffset) => {
        // So that a shard is not told of logs without transactions.
        if (shard.logs.find(logId)?.hasAbortedBelow(toOffset) !== true) return
        shard.tell(partitionActor(logId), { _tag: "ForgetAborted", toOffset }, { origin: "compaction" })
      }
    },
    onSettled: (segment, settled, durationMs, kind) => {
      settledBytes += settled.bytesOut
      count(broker, segment, settled, durationMs, kind)
      options.onSettled?.(segment, settled, durationMs, kind)
    },
    onFailed: (segment, detail, failure) => {
      metrics.add("logbrook_settle_failures_total", {})
      log.error(failureTexts[failure], { segment, detail })
      options.onFailed?.(segment, detail, failure)
    },
    ...(at && { at })
  })
  metrics.onCollect(() => {
    metrics.set("logbrook_settle_segments_unsettled", {}, settler.unsettled)
    metrics.set("logbrook_settle_holding", {}, settler.isHolding ? 1 : 0)
    const { liveBytes, deadBytes } = settler.settledBytes
    metrics.set("logbrook_settled_live_bytes", {}, liveBytes)
    metrics.set("logbrook_settled_dead_bytes", {}, deadBytes)
    const { appendedBytes } = shard.logs
    if (appendedBytes === 0) return
    metrics.set("logbrook_write_amplification", {}, (journal.appendedBytes + settledBytes) / appendedBytes)
  })
  settler.start()
  return settler
}
