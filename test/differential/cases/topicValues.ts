import { DescribeConfigs } from "@logbrook/protocols/kafka/messages/32_DescribeConfigs"
import { IncrementalAlterConfigs } from "@logbrook/protocols/kafka/messages/44_IncrementalAlterConfigs"
import { type Case, every, type Family, single } from "../Case.ts"

// Which values a topic's settings take, under Kafka's names; none of them is set, as the settings themselves are compared elsewhere.

const topic = "valued"
const topicType = 2
const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

const long = ["0", "1", "-1", "-2", "9007199254740991", "9223372036854775807", "9223372036854775808", "1.5", "", "soon"]
const int = ["0", "1", "-1", "-2", "4", "13", "14", "1048576", "2147483647", "2147483648", "1.5", "", "soon"]
const yesOrNo = ["true", "false", "TRUE", "yes", ""]
const ratio = ["0", "0.5", "1", "1.01", "-0.1", ".5", "half", ""]
const replicas = ["*", "0:1", "0:1,1:1", "0:1,", "0", "0:1:2", ""]

const values: ReadonlyArray<readonly [name: string, values: ReadonlyArray<string>]> = [
  ["cleanup.policy", ["delete", "compact", "compact,delete", "delete, compact", "delete,delete", "forget", ""]],
  ["compression.type", ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd", "none", "GZIP", ""]],
  ["delete.retention.ms", long],
  ["file.delete.delay.ms", long],
  ["flush.messages", long],
  ["flush.ms", long],
  ["follower.replication.throttled.replicas", replicas],
  ["index.interval.bytes", int],
  ["leader.replication.throttled.replicas", replicas],
  ["max.compaction.lag.ms", long],
  ["message.timestamp.after.max.ms", long],
  ["message.timestamp.before.max.ms", long],
  ["message.timestamp.type", ["CreateTime", "LogAppendTime", "logappendtime", "NoTimestampType", ""]],
  ["min.cleanable.dirty.ratio", ratio],
  ["min.compaction.lag.ms", long],
  ["min.insync.replicas", int],
  ["preallocate", yesOrNo],
  ["retention.bytes", long],
  ["retention.ms", long],
  ["segment.bytes", int],
  ["segment.index.bytes", int],
  ["segment.jitter.ms", long],
  ["segment.ms", long],
  ["unclean.leader.election.enable", yesOrNo],
  ["no.such.setting", ["1", ""]]
]

const alter = (what: string, configs: ReadonlyArray<{ name: string; configOperation: number; value: string | null }>) =>
  single(IncrementalAlterConfigs, 1, what, () => ({
    resources: [{ resourceType: topicType, resourceName: topic, configs: [...configs] }],
    validateOnly: true
  }))

const one = (what: string, name: string, configOperation: number, value: string | null): Case =>
  alter(`${what} ${name} ${value === "" ? "(empty)" : value}`, [{ name, configOperation, value }])

const topicValues = (): ReadonlyArray<Case> => [
  ...values.flatMap(([name, all]) => [
    ...all.map((value) => one("set", name, operations.set, value)),
    one("set", name, operations.set, null),
    one("delete", name, operations.delete, null)
  ]),
  ...["cleanup.policy", "leader.replication.throttled.replicas", "retention.ms"].flatMap((name) =>
    [operations.append, operations.subtract].flatMap((operation) =>
      ["compact", "delete", "0:1", "1"].map((value) =>
        one(operation === operations.append ? "append to" : "subtract from", name, operation, value)
      )
    )
  ),
  alter("lags that contradict each other", [
    { name: "min.compaction.lag.ms", configOperation: operations.set, value: "2" },
    { name: "max.compaction.lag.ms", configOperation: operations.set, value: "1" }
  ]),
  alter("one setting twice", [
    { name: "retention.ms", configOperation: operations.set, value: "2" },
    { name: "retention.ms", configOperation: operations.set, value: "1" }
  ]),
  ...every(DescribeConfigs, [1, 4], "settings by name", () => ({
    resources: [
      {
        resourceType: topicType,
        resourceName: topic,
        configurationKeys: values.map(([name]) => name)
      }
    ],
    includeSynonyms: true,
    includeDocumentation: false
  }))
]

export const topicValuesFamily: Family = {
  name: "topicValues",
  topics: [{ name: topic, partitions: 1, configs: [["retention.bytes", "1000000"]] }],
  cases: topicValues
}
