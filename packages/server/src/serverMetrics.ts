import type { Journal } from "@logbrook/core/journal/Journal"
import type { Shard } from "@logbrook/core/shard/Shard"
import { holders } from "@logbrook/core/memory/MemoryAccount"
import type { Broker } from "./Broker.ts"
import { declareExporterMetrics } from "./exporterMetrics.ts"
import type { ListenerGate } from "./net/ListenerGate.ts"

const secondMs = 1000

const declareAll = ({ metrics }: Broker): void => {
  metrics.declare("logbrook_journal_commit_duration_seconds", "histogram", "Append to acknowledgement of a commit.")
  metrics.declare("logbrook_journal_commit_bytes_total", "counter", "Bytes of durable commits.")
  metrics.declare("logbrook_journal_events_total", "counter", "Durable events.")
  metrics.declare("logbrook_journal_segments", "gauge", "Segments kept.")
  metrics.declare("logbrook_journal_bytes", "gauge", "Bytes of the segments kept.")
  metrics.declare(
    "logbrook_memory_account_bytes",
    "gauge",
    "What clients make the server keep, by kind of holder (limits.memoryBytesMax)."
  )
  metrics.declare("logbrook_memory_account_budget_bytes", "gauge", "What a kind of holder may have of it.")
  metrics.declare("logbrook_actors", "gauge", "Actors in memory.")
  metrics.declare("logbrook_actor_restarts_total", "counter", "Actors rebuilt by replay after a defect.")
  metrics.declare("logbrook_disk_free_bytes", "gauge", "Free bytes of the data directory's file system.")
  metrics.declare("logbrook_disk_low", "gauge", "1 while writes are refused: less is free than the reserve.")
  metrics.declare("logbrook_disk_reserve_bytes", "gauge", "Free bytes below which writes are refused.")
  metrics.declare("logbrook_connections", "gauge", "Open connections of all listeners.")
  metrics.declare("logbrook_listener_connections", "gauge", "Open connections of one listener.")
  metrics.declare(
    "logbrook_listener_refused_connections_total",
    "counter",
    "Connections that a listener did not let in, by its limits or the server's."
  )
  metrics.declare("process_resident_memory_bytes", "gauge", "Resident memory of the process.")
}

/** Collects what the gates of listeners count. */
const listenerCollector = ({ metrics, gate }: Broker): (() => void) => {
  const told = new Map<ListenerGate, number>()
  return () => {
    for (const each of gate.listeners) {
      const labels = { listener: each.name, protocol: each.protocol }
      metrics.set("logbrook_listener_connections", labels, each.open)
      metrics.add("logbrook_listener_refused_connections_total", labels, each.refused - (told.get(each) ?? 0))
      told.set(each, each.refused)
    }
  }
}

const sum = (shards: ReadonlyArray<Shard>, of: (shard: Shard) => number): number =>
  shards.reduce((total, shard) => total + of(shard), 0)

/** Counts commits, against the disk's free bytes too, and collects gauges when they are asked for. */
export const watchCommits = (broker: Broker, journal: Journal): void => {
  const { metrics, shards, disk, gate } = broker
  declareAll(broker)
  const bytesTotal = metrics.counter("logbrook_journal_commit_bytes_total")
  const eventsTotal = metrics.counter("logbrook_journal_events_total")
  for (const shard of shards.all) {
    shard.onCommit = (durationMs, bytes, events) => {
      disk.wrote(bytes)
      bytesTotal.add(bytes)
      eventsTotal.add(events)
      metrics.observe("logbrook_journal_commit_duration_seconds", {}, durationMs / secondMs)
    }
  }
  metrics.onCollect(listenerCollector(broker))
  metrics.onCollect(() => {
    const segments = journal.segments()
    metrics.set("logbrook_journal_segments", {}, segments.length)
    metrics.set(
      "logbrook_journal_bytes",
      {},
      segments.reduce((sum, { bytes }) => sum + bytes, 0)
    )
    for (const kind of holders) {
      metrics.set("logbrook_memory_account_bytes", { kind }, shards.memory.bytes(kind))
      metrics.set("logbrook_memory_account_budget_bytes", { kind }, shards.memory.budget(kind))
    }
    metrics.set(
      "logbrook_actors",
      { state: "live" },
      sum(shards.all, ({ actors }) => actors.liveCount)
    )
    metrics.set(
      "logbrook_actors",
      { state: "passive" },
      sum(shards.all, ({ actors }) => actors.passiveCount)
    )
    metrics.set("logbrook_disk_free_bytes", {}, disk.freeBytes)
    metrics.set("logbrook_disk_low", {}, disk.isLow ? 1 : 0)
    metrics.set("logbrook_disk_reserve_bytes", {}, disk.reserveBytes)
    metrics.set("logbrook_connections", {}, gate.open)
    metrics.set("process_resident_memory_bytes", {}, process.memoryUsage.rss())
  })
  declareExporterMetrics(broker)
}
