import { nameOf } from "@logbrook/core/actor/Definition"
import type { Journal } from "@logbrook/core/journal/Journal"
import type { GroupState } from "@logbrook/actors/group/groupState"
import type { Broker } from "./Broker.ts"

const secondMs = 1000

const declareAll = ({ metrics }: Broker): void => {
  metrics.declare("logbrook_journal_commit_duration_seconds", "histogram", "Append to acknowledgement of a commit.")
  metrics.declare("logbrook_journal_commit_bytes_total", "counter", "Bytes of durable commits.")
  metrics.declare("logbrook_journal_events_total", "counter", "Durable events.")
  metrics.declare("logbrook_journal_segments", "gauge", "Segments kept.")
  metrics.declare("logbrook_journal_bytes", "gauge", "Bytes of the segments kept.")
  metrics.declare("logbrook_actors", "gauge", "Actors in memory.")
  metrics.declare("logbrook_actor_restarts_total", "counter", "Actors rebuilt by replay after a defect.")
  metrics.declare("logbrook_disk_free_bytes", "gauge", "Free bytes of the data directory's file system.")
  metrics.declare("logbrook_connections", "gauge", "Open connections of all listeners.")
  metrics.declare("logbrook_stream_log_bytes", "gauge", "Record bytes that readers can reach.")
  metrics.declare("kafka_topic_partition_current_offset", "gauge", "The high watermark.")
  metrics.declare("kafka_topic_partition_oldest_offset", "gauge", "The log start offset.")
  metrics.declare("kafka_consumergroup_current_offset", "gauge", "The committed offset.")
  metrics.declare("kafka_consumergroup_lag", "gauge", "Records between the committed offset and the high watermark.")
  metrics.declare("process_resident_memory_bytes", "gauge", "Resident memory of the process.")
}

const collectStreams = ({ metrics, directory, shard }: Broker): void => {
  const perPartition = ["kafka_topic_partition_current_offset", "kafka_topic_partition_oldest_offset"]
  for (const name of [...perPartition, "logbrook_stream_log_bytes"]) metrics.clear(name)
  for (const stream of directory.all().values()) {
    stream.logIds.forEach((logId, partition) => {
      const log = shard.logs.log(logId)
      metrics.set("kafka_topic_partition_current_offset", { topic: stream.name, partition }, log.highWatermark)
      metrics.set("kafka_topic_partition_oldest_offset", { topic: stream.name, partition }, log.startOffset)
      metrics.set("logbrook_stream_log_bytes", { stream: stream.name, partition }, log.byteLength)
    })
  }
}

/** Under kafka_exporter's names, so that boards made for it work. */
const collectGroups = ({ metrics, directory, shard }: Broker): void => {
  metrics.clear("kafka_consumergroup_current_offset")
  metrics.clear("kafka_consumergroup_lag")
  for (const id of shard.actors.ofKind("group")) {
    const state = shard.actors.peek<GroupState>(id)
    for (const [topicId, partitions] of state?.offsets.topics ?? []) {
      const stream = directory.byTopicId(topicId)
      if (stream === undefined) continue
      for (const { partition, offset } of partitions.values()) {
        const logId = stream.logIds[partition]
        // A negative offset is a client's way to say that it has none.
        if (logId === undefined || offset < 0) continue
        const labels = { consumergroup: nameOf(id), topic: stream.name, partition }
        metrics.set("kafka_consumergroup_current_offset", labels, offset)
        metrics.set("kafka_consumergroup_lag", labels, Math.max(0, shard.logs.log(logId).highWatermark - offset))
      }
    }
  }
}

/** Counts commits, against the disk's free bytes too, and collects gauges when they are asked for. */
export const watchCommits = (broker: Broker, journal: Journal): void => {
  const { metrics, shard, disk, gate } = broker
  declareAll(broker)
  const bytesTotal = metrics.counter("logbrook_journal_commit_bytes_total")
  const eventsTotal = metrics.counter("logbrook_journal_events_total")
  shard.onCommit = (durationMs, bytes, events) => {
    disk.wrote(bytes)
    bytesTotal.add(bytes)
    eventsTotal.add(events)
    metrics.observe("logbrook_journal_commit_duration_seconds", {}, durationMs / secondMs)
  }
  metrics.onCollect(() => {
    const segments = journal.segments()
    metrics.set("logbrook_journal_segments", {}, segments.length)
    metrics.set(
      "logbrook_journal_bytes",
      {},
      segments.reduce((sum, { bytes }) => sum + bytes, 0)
    )
    metrics.set("logbrook_actors", { state: "live" }, shard.actors.liveCount)
    metrics.set("logbrook_actors", { state: "passive" }, shard.actors.passiveCount)
    metrics.set("logbrook_disk_free_bytes", {}, disk.freeBytes)
    metrics.set("logbrook_connections", {}, gate.open)
    metrics.set("process_resident_memory_bytes", {}, process.memoryUsage.rss())
    collectStreams(broker)
    collectGroups(broker)
  })
}
