import { type GroupState, GroupStates, memberCountOf } from "@logbrook/actors/group/groupState"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { Broker } from "./Broker.ts"
import type { Row, Table } from "./Metrics.ts"
import { lagOf } from "./streams/groupLag.ts"

// Topics, partitions and consumer groups under kafka_exporter's names, so that boards made for it work; the rest under ours. Its series of
// replicas are left out: a partition has one.

const topicTable = ({ directory }: Broker): Table => ({
  name: "topics",
  families: [{ name: "kafka_topic_partitions", help: "Partitions of the topic.", labels: ["topic"] }],
  rankedBy: 0,
  *read() {
    for (const { name, logIds } of directory.all().values()) yield { labels: [name], values: [logIds.length] }
  }
})

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

const groupPartitionLabels = ["consumergroup", "topic", "partition"]

const groupPartitionTable = (broker: Broker): Table => ({
  name: "group_partitions",
  families: [
    { name: "kafka_consumergroup_current_offset", help: "The committed offset.", labels: groupPartitionLabels },
    {
      name: "kafka_consumergroup_lag",
      help: "Records that are there and that the group has not read.",
      labels: groupPartitionLabels
    },
    {
      name: "logbrook_consumergroup_lost",
      help: "Records that were gone before the group had read them.",
      labels: groupPartitionLabels
    },
    {
      name: "logbrook_consumergroup_lag_unknown",
      help: "1 for a partition whose lag is not known, since the committed offset is negative or behind the end of the log.",
      labels: groupPartitionLabels
    }
  ],
  rankedBy: 1,
  *read() {
    for (const [actor, state] of broker.shards.view(GroupStates).all())
      yield* groupPartitionRows(broker, nameOf(actor), state)
  }
})

function* groupPartitionRows(broker: Broker, group: string, { offsets }: GroupState): Iterable<Row> {
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

const groupTopicLabels = ["consumergroup", "topic"]

const groupTopicTable = (broker: Broker): Table => ({
  name: "group_topics",
  families: [
    {
      name: "kafka_consumergroup_current_offset_sum",
      help: "The committed offsets of all partitions of the topic.",
      labels: groupTopicLabels
    },
    {
      name: "kafka_consumergroup_lag_sum",
      help: "The lag of all partitions of the topic of which it is known.",
      labels: groupTopicLabels
    }
  ],
  rankedBy: 1,
  *read() {
    for (const [actor, { offsets }] of broker.shards.view(GroupStates).all()) {
      for (const [topicId, partitions] of offsets.topics) {
        const stream = broker.directory.byTopicId(topicId)
        if (stream === undefined) continue
        let [offsetSum, lagSum] = [0, 0]
        for (const each of partitions.values()) {
          const { offset, lag } = lagOf(broker, each)
          offsetSum += Math.max(0, offset)
          lagSum += lag ?? 0
        }
        yield { labels: [nameOf(actor), stream.name], values: [offsetSum, lagSum] }
      }
    }
  }
})

const groupTable = (broker: Broker): Table => ({
  name: "groups",
  families: [{ name: "kafka_consumergroup_members", help: "Members of the group.", labels: ["consumergroup"] }],
  rankedBy: 0,
  *read() {
    for (const [actor, state] of broker.shards.view(GroupStates).all())
      yield { labels: [nameOf(actor)], values: [memberCountOf(state)] }
  }
})

export const declareExporterMetrics = (broker: Broker): void => {
  const { metrics } = broker
  metrics.declare("kafka_brokers", "gauge", "Nodes of the cluster: this one.")
  metrics.set("kafka_brokers", {}, 1)
  for (const table of [topicTable, partitionTable, groupTable, groupTopicTable, groupPartitionTable])
    metrics.declareTable(table(broker))
}
