import { inChildProcess } from "@logbrook/core/settle/childProcess"
import { Settler } from "@logbrook/core/settle/Settler"
import type { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import type { Broker } from "./Broker.ts"

const secondMs = 1000

const declareAll = ({ metrics }: Broker): void => {
  metrics.declare("logbrook_settle_segments_unsettled", "gauge", "Closed segments that are not settled.")
  metrics.declare("logbrook_settle_holding", "gauge", "1 while appends wait for a segment to be settled.")
  metrics.declare("logbrook_settle_held_seconds_total", "counter", "Time that appends have waited for settling.")
  metrics.declare("logbrook_settle_seconds_total", "counter", "Time from the beginning to the end of settlings.")
  metrics.declare("logbrook_settle_segments_total", "counter", "Segments that were settled.")
  metrics.declare("logbrook_settle_records_total", "counter", "Records of segments that were settled.")
  metrics.declare("logbrook_settle_failures_total", "counter", "Settlings that failed.")
  metrics.declare("logbrook_settle_bytes_in_total", "counter", "Bytes of segments before they were settled.")
  metrics.declare("logbrook_settle_bytes_out_total", "counter", "Bytes of segments after they were settled.")
}

/** Has closed segments settled while the server runs. The caller stops it before the shard ends. */
export const startSettling = (broker: Broker, journal: LmdbJournal): Settler => {
  const { shard, clock, metrics, log } = broker
  declareAll(broker)
  let heldSinceMs = 0
  const settler = new Settler({
    journal,
    logs: shard.logs,
    clock,
    work: inChildProcess,
    onHold: (isHeld) => {
      shard.hold(isHeld)
      if (isHeld) {
        heldSinceMs = clock.monotonicMs()
        log.warn("appends wait: closed segments are not settled yet", {})
      } else metrics.add("logbrook_settle_held_seconds_total", {}, (clock.monotonicMs() - heldSinceMs) / secondMs)
    },
    onSettled: (segment, { bytesIn, bytesOut, records }, durationMs) => {
      metrics.add("logbrook_settle_segments_total", {})
      metrics.add("logbrook_settle_seconds_total", {}, durationMs / secondMs)
      metrics.add("logbrook_settle_records_total", {}, records)
      metrics.add("logbrook_settle_bytes_in_total", {}, bytesIn)
      metrics.add("logbrook_settle_bytes_out_total", {}, bytesOut)
      log.info("segment settled", { segment, records, bytesIn, bytesOut, durationMs })
    },
    onFailed: (segment, detail, isGivenUp) => {
      metrics.add("logbrook_settle_failures_total", {})
      log.error(isGivenUp ? "segment not settled: it stays as it is" : "segment not settled: tried again", {
        segment,
        detail
      })
    }
  })
  metrics.onCollect(() => {
    metrics.set("logbrook_settle_segments_unsettled", {}, settler.unsettled)
    metrics.set("logbrook_settle_holding", {}, settler.isHolding ? 1 : 0)
  })
  settler.start()
  return settler
}
