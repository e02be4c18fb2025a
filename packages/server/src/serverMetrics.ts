import { nameOf } from "@logbrook/core/actor/Definition"
import type { Journal } from "@logbrook/core/journal/Journal"
import type { Shard } from "@logbrook/core/shard/Shard"
import { holders } from "@logbrook/core/memory/MemoryAccount"
import { type GroupState, GroupStates } from "@logbrook/actors/group/groupState"
import type { Broker } from "./Broker.ts"
import type { Row, Table } from "./Metrics.ts"
import type { ListenerGate } from "./net/ListenerGate.ts"
import { lagOf } from "./streams/groupLag.ts"

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

/** Under kafka_exporter's names, so that boards made for it work. */
const partitionTable = ({ directory, shards }: Broker): Table => ({
  name: "partitions",
  families: [
    { name: "kafka_topic_partition_current_offset", help: "The high watermark.", labels: ["topic", "partition"] },
    { name: "kafka_topic_partition_oldest_offset", help: "The log start offset.", labels: ["topic", "partition"] },
    {
      name: "logbrook_stream_log_bytes",
      help: "Record bytes that readers can reach.",
      labels: ["stream", "partition"]
    }
  ],
  rankedBy: 2,
  *read() {
    for (const { name, logIds } of directory.all().values()) {
      for (const [partition, logId] of logIds.entries()) {
        // Deleted since the reading began, or without any record.
        const isThere = directory.byLogId(logId) !== undefined
        const log = shards.logsOf(logId).find(logId)
        const values = log === undefined ? [0, 0, 0] : [log.highWatermark, log.startOffset, log.byteLength]
        if (isThere) yield { labels: [name, partition], values }
      }
    }
  }
})

const groupLabels = ["consumergroup", "topic", "partition"]

/** Under kafka_exporter's names, too, and what it does not tell under ours. */
const groupTable = (broker: Broker): Table => ({
  name: "group_partitions",
  families: [
    { name: "kafka_consumergroup_current_offset", help: "The committed offset.", labels: groupLabels },
    {
      name: "kafka_consumergroup_lag",
      help: "Records that are there and that the group has not read.",
      labels: groupLabels
    },
    {
      name: "logbrook_consumergroup_lost",
      help: "Records that were gone before the group had read them.",
      labels: groupLabels
    },
    {
      name: "logbrook_consumergroup_lag_unknown",
      help: "1 for a partition whose lag is not known, since the committed offset is negative or behind the end of the log.",
      labels: groupLabels
    }
  ],
  rankedBy: 1,
  *read() {
    for (const [actor, state] of broker.shards.view(GroupStates).all()) yield* groupRows(broker, nameOf(actor), state)
  }
})

function* groupRows(broker: Broker, group: string, { offsets }: GroupState): Iterable<Row> {
  for (const [topicId, partitions] of offsets.topics) {
    const stream = broker.directory.byTopicId(topicId)
    if (stream === undefined) continue
    for (const each of partitions.values()) {
      const { partition, offset, lag, lost } = lagOf(broker, each)
      const labels = [group, stream.name, partition]
      if (lag === null || lost === null) {
        yield { labels, values: [offset < 0 ? undefined : offset, undefined, undefined, 1] }
      } else yield { labels, values: [offset, lag, lost, undefined] }
    }
  }
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
  metrics.declareTable(partitionTable(broker))
  metrics.declareTable(groupTable(broker))
}
