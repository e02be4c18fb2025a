import * as fs from "node:fs"
import * as path from "node:path"

export type Release = "3.9.1" | "4.3.1"

/** A run of a tool, with both servers. */
export interface Case {
  readonly what: string
  /** The class of Kafka's script, in the jars of either release. */
  readonly main: string | Readonly<Record<Release, string>>
  /** Without `--bootstrap-server`, unless it is named otherwise: `BROKERS` stands for the address. */
  readonly args: ReadonlyArray<string> | Readonly<Record<Release, ReadonlyArray<string>>>
  readonly input?: string
  /** Of releases. Both where left out. */
  readonly only?: Release
  /** What is otherwise here, and why. Its exit code and output are compared with these then. */
  readonly differs?: { readonly why: string; readonly code: number; readonly output: RegExp }
  /** Only that it ends alike is compared: its output is by chance. */
  readonly isCodeOnly?: true
  /** In a JVM of its own, at whose end it tells what it did. */
  readonly isAlone?: true
}

const tools = "org.apache.kafka.tools"
const names = {
  topics: `${tools}.TopicCommand`,
  configs: "kafka.admin.ConfigCommand",
  consoleConsumer: `${tools}.consumer.ConsoleConsumer`,
  groups: `${tools}.consumer.group.ConsumerGroupCommand`,
  getOffsets: `${tools}.GetOffsetShell`,
  deleteRecords: `${tools}.DeleteRecordsCommand`,
  logDirs: `${tools}.LogDirsCommand`,
  transactions: `${tools}.TransactionsCommand`,
  election: `${tools}.LeaderElectionCommand`,
  reassign: `${tools}.reassign.ReassignPartitionsCommand`,
  quorum: `${tools}.MetadataQuorumCommand`,
  features: `${tools}.FeatureCommand`,
  producerPerf: `${tools}.ProducerPerformance`,
  consumerPerf: `${tools}.ConsumerPerformance`,
  verifiableProducer: `${tools}.VerifiableProducer`,
  verifiableConsumer: `${tools}.VerifiableConsumer`,
  streamsReset: `${tools}.StreamsResetter`,
  cluster: `${tools}.ClusterTool`,
  latency: `${tools}.EndToEndLatency`
}
const moved = (before: string, now: string): Readonly<Record<Release, string>> => ({ "3.9.1": before, "4.3.1": now })
const consoleProducer = moved("kafka.tools.ConsoleProducer", `${tools}.ConsoleProducer`)
const apiVersions = moved("kafka.admin.BrokerApiVersionsCommand", `${tools}.BrokerApiVersionsCommand`)
const acls = moved("kafka.admin.AclCommand", `${tools}.AclCommand`)

const topics: ReadonlyArray<Case> = [
  {
    what: "kafka-topics creates",
    main: names.topics,
    args: "--create --topic t --partitions 2 --replication-factor 1 --config retention.ms=3600000".split(" ")
  },
  { what: "kafka-topics creates what there is", main: names.topics, args: ["--create", "--topic", "t"] },
  {
    what: "kafka-topics creates if there is none",
    main: names.topics,
    args: "--create --if-not-exists --topic t".split(" ")
  },
  { what: "kafka-topics creates a name that cannot be", main: names.topics, args: ["--create", "--topic", "a/b"] },
  {
    what: "kafka-topics creates more copies than nodes",
    main: names.topics,
    args: "--create --topic copies --replication-factor 3".split(" ")
  },
  { what: "kafka-topics lists", main: names.topics, args: ["--list", "--exclude-internal"] },
  { what: "kafka-topics describes", main: names.topics, args: ["--describe", "--topic", "t"] },
  { what: "kafka-topics describes none", main: names.topics, args: ["--describe", "--topic", "none"] },
  { what: "kafka-topics adds a partition", main: names.topics, args: "--alter --topic t --partitions 3".split(" ") },
  { what: "kafka-topics takes one away", main: names.topics, args: "--alter --topic t --partitions 2".split(" ") },
  {
    what: "kafka-topics describes what is short of copies",
    main: names.topics,
    args: ["--describe", "--under-replicated-partitions"]
  }
]

const ofT = ["--entity-type", "topics", "--entity-name", "t"]
const configs: ReadonlyArray<Case> = [
  { what: "kafka-configs describes a topic", main: names.configs, args: ["--describe", ...ofT] },
  {
    what: "kafka-configs sets",
    main: names.configs,
    args: ["--alter", ...ofT, "--add-config", "retention.ms=7200000,cleanup.policy=[compact,delete]"]
  },
  { what: "kafka-configs describes what was set", main: names.configs, args: ["--describe", ...ofT] },
  { what: "kafka-configs sets what is none", main: names.configs, args: ["--alter", ...ofT, "--add-config", "none=1"] },
  {
    what: "kafka-configs sets a value that cannot be",
    main: names.configs,
    args: ["--alter", ...ofT, "--add-config", "retention.ms=x"]
  },
  {
    what: "kafka-configs deletes",
    main: names.configs,
    args: ["--alter", ...ofT, "--delete-config", "cleanup.policy"]
  },
  { what: "kafka-configs describes what is left", main: names.configs, args: ["--describe", ...ofT] },
  {
    what: "kafka-configs describes a topic that is not there",
    main: names.configs,
    args: "--describe --entity-type topics --entity-name none".split(" ")
  },
  {
    what: "kafka-configs describes a broker",
    main: names.configs,
    args: "--describe --entity-type brokers --entity-name 1".split(" ")
  },
  {
    what: "kafka-configs describes the brokers' defaults",
    main: names.configs,
    args: "--describe --entity-type brokers --entity-default".split(" "),
    differs: {
      why: "with eligible leader replicas Kafka sets min.insync.replicas for the whole cluster",
      code: 0,
      output: /^Default configs for brokers in the cluster are:$/
    }
  }
]

const lines = Array.from({ length: 20 }, (_, i) => `k${i % 4}:v${i}\n`).join("")
const records: ReadonlyArray<Case> = [
  {
    what: "kafka-console-producer writes",
    main: consoleProducer,
    args: "--topic t --property parse.key=true --property key.separator=:".split(" "),
    input: lines
  },
  {
    what: "kafka-console-consumer reads a partition",
    main: names.consoleConsumer,
    args: "--topic t --partition 0 --offset earliest --timeout-ms 3000 --property print.key=true --property print.offset=true".split(
      " "
    )
  },
  {
    what: "kafka-console-consumer reads in a group",
    main: names.consoleConsumer,
    args: "--topic t --group g --from-beginning --max-messages 20 --timeout-ms 20000".split(" ")
  },
  { what: "kafka-get-offsets: latest", main: names.getOffsets, args: ["--topic", "t"] },
  { what: "kafka-get-offsets: earliest", main: names.getOffsets, args: "--topic t --time earliest".split(" ") },
  {
    what: "kafka-get-offsets: of the greatest time",
    main: names.getOffsets,
    args: "--topic-partitions t:0 --time max-timestamp".split(" "),
    isCodeOnly: true
  },
  { what: "kafka-get-offsets: by time", main: names.getOffsets, args: "--topic t --time 1".split(" ") },
  {
    what: "kafka-get-offsets: after the last",
    main: names.getOffsets,
    args: "--topic t --time 99999999999999".split(" ")
  },
  { what: "kafka-get-offsets of no topic", main: names.getOffsets, args: ["--topic", "none"] }
]

const g = ["--group", "g"]
const groups: ReadonlyArray<Case> = [
  { what: "kafka-consumer-groups lists", main: names.groups, args: ["--list"] },
  { what: "kafka-consumer-groups lists states", main: names.groups, args: ["--list", "--state"] },
  { what: "kafka-consumer-groups describes", main: names.groups, args: ["--describe", ...g] },
  { what: "kafka-consumer-groups describes a state", main: names.groups, args: ["--describe", ...g, "--state"] },
  {
    what: "kafka-consumer-groups describes members",
    main: names.groups,
    args: ["--describe", ...g, "--members", "--verbose"]
  },
  { what: "kafka-consumer-groups describes none", main: names.groups, args: "--describe --group none".split(" ") },
  {
    what: "kafka-consumer-groups would reset",
    main: names.groups,
    args: [...g, ..."--reset-offsets --shift-by -1 --topic t --dry-run".split(" ")]
  },
  {
    what: "kafka-consumer-groups resets",
    main: names.groups,
    args: [...g, ..."--reset-offsets --to-earliest --topic t:0,1 --execute".split(" ")]
  },
  { what: "kafka-consumer-groups describes what was reset", main: names.groups, args: ["--describe", ...g] },
  {
    what: "kafka-consumer-groups resets by time",
    main: names.groups,
    args: [...g, ..."--reset-offsets --to-datetime 2000-01-01T00:00:00.000 --all-topics --execute".split(" ")]
  },
  {
    what: "kafka-consumer-groups deletes offsets",
    main: names.groups,
    args: [...g, "--delete-offsets", "--topic", "t:1"]
  },
  { what: "kafka-consumer-groups describes what is left", main: names.groups, args: ["--describe", ...g] },
  { what: "kafka-consumer-groups deletes", main: names.groups, args: [...g, "--delete"] },
  { what: "kafka-consumer-groups deletes what is none", main: names.groups, args: [...g, "--delete"] },
  { what: "kafka-consumer-groups lists nothing", main: names.groups, args: ["--list"] }
]

const jsonFile = (directory: string, name: string, content: object): string => {
  const file = path.join(directory, name)
  fs.writeFileSync(file, JSON.stringify(content))
  return file
}

/** `directory`: for files that tools are given. */
const partitions = (directory: string): ReadonlyArray<Case> => {
  const deletion = (name: string, topic: string, offset: number) =>
    jsonFile(directory, name, { version: 1, partitions: [{ topic, partition: 0, offset }] })
  const plan = (name: string, replicas: ReadonlyArray<number>) =>
    jsonFile(directory, name, { version: 1, partitions: [{ topic: "t", partition: 0, replicas }] })
  const same = plan("same.json", [1])
  return [
    {
      what: "kafka-delete-records",
      main: names.deleteRecords,
      args: ["--offset-json-file", deletion("d1.json", "t", 2)]
    },
    {
      what: "kafka-get-offsets: where a log begins then",
      main: names.getOffsets,
      args: "--topic-partitions t:0 --time earliest".split(" ")
    },
    {
      what: "kafka-delete-records beyond the end",
      main: names.deleteRecords,
      args: ["--offset-json-file", deletion("d2.json", "t", 1000)]
    },
    { what: "kafka-log-dirs", main: names.logDirs, args: "--describe --topic-list t".split(" ") },
    {
      what: "kafka-log-dirs of a node that is not there",
      main: names.logDirs,
      args: "--describe --broker-list 7".split(" ")
    },
    {
      what: "kafka-leader-election: preferred",
      main: names.election,
      args: "--election-type preferred --topic t --partition 0".split(" ")
    },
    {
      what: "kafka-leader-election: unclean",
      main: names.election,
      args: "--election-type unclean --topic t --partition 0".split(" ")
    },
    {
      what: "kafka-leader-election of no topic",
      main: names.election,
      args: "--election-type preferred --topic none --partition 0".split(" ")
    },
    { what: "kafka-reassign-partitions lists", main: names.reassign, args: ["--list"] },
    {
      what: "kafka-reassign-partitions to the same node",
      main: names.reassign,
      args: ["--execute", "--reassignment-json-file", same]
    },
    {
      what: "kafka-reassign-partitions verifies",
      main: names.reassign,
      args: ["--verify", "--reassignment-json-file", same]
    },
    {
      what: "kafka-reassign-partitions to a node that is not there",
      main: names.reassign,
      args: ["--execute", "--reassignment-json-file", plan("other.json", [2])]
    },
    {
      what: "kafka-reassign-partitions cancels",
      main: names.reassign,
      args: ["--cancel", "--reassignment-json-file", same]
    }
  ]
}

const transactions: ReadonlyArray<Case> = [
  { what: "kafka-transactions lists", main: names.transactions, args: ["list"] },
  {
    what: "kafka-transactions describes producers",
    main: names.transactions,
    args: "describe-producers --topic t --partition 0".split(" "),
    isCodeOnly: true
  },
  {
    what: "kafka-transactions describes none",
    main: names.transactions,
    args: "describe --transactional-id none".split(" ")
  },
  {
    what: "kafka-transactions aborts none",
    main: names.transactions,
    args: "abort --topic t --partition 0 --start-offset 0".split(" ")
  },
  {
    what: "kafka-transactions finds what hangs",
    main: names.transactions,
    args: "find-hanging --broker-id 1".split(" ")
  }
]

const cluster: ReadonlyArray<Case> = [
  { what: "kafka-metadata-quorum: status", main: names.quorum, args: ["describe", "--status"] },
  { what: "kafka-metadata-quorum: replication", main: names.quorum, args: ["describe", "--replication"] },
  {
    what: "kafka-features describes",
    main: names.features,
    args: ["describe"],
    differs: {
      why: "it has the one feature that clients go by; the others are of Kafka's own metadata, and of groups that are not served",
      code: 0,
      output:
        /^Feature: transaction\.version\s+SupportedMinVersion: 0\s+SupportedMaxVersion: 2\s+FinalizedVersionLevel: 2\s+Epoch: 0$/
    }
  },
  {
    what: "kafka-features disables what is none",
    main: names.features,
    args: "disable --feature none".split(" "),
    differs: {
      why: "there is nothing to upgrade, and no UpdateFeatures",
      code: 1,
      output: /^1 out of 1 operation\(s\) failed\.\nCould not disable none\. The node does not support UPDATE_FEATURES$/
    }
  },
  {
    what: "kafka-broker-api-versions",
    main: apiVersions,
    args: [],
    differs: {
      why: "docs/kafka-apis.md has what is not served",
      code: 0,
      output: /\tFetch\(1\): 4 to 18 [^]*\tProduce\(0\): 0 to 13 [^]*\nBROKERS \(id: 1 rack: null/
    }
  },
  { what: "kafka-cluster: id", main: names.cluster, args: ["cluster-id", "--bootstrap-server", "BROKERS"] },
  {
    what: "kafka-cluster: endpoints",
    only: "4.3.1",
    main: names.cluster,
    args: ["list-endpoints", "--bootstrap-server", "BROKERS"]
  },
  { what: "kafka-acls lists", main: acls, args: ["--list"] },
  { what: "kafka-acls adds", main: acls, args: "--add --allow-principal User:a --operation Read --topic t".split(" ") }
]

const loads: ReadonlyArray<Case> = [
  {
    what: "kafka-producer-perf-test",
    main: names.producerPerf,
    args: "--topic t --num-records 500 --throughput -1 --record-size 100 --producer-props bootstrap.servers=BROKERS".split(
      " "
    )
  },
  {
    what: "kafka-producer-perf-test in transactions",
    main: names.producerPerf,
    args: "--topic t --num-records 500 --throughput -1 --record-size 100 --transaction-duration-ms 50 --producer-props bootstrap.servers=BROKERS".split(
      " "
    )
  },
  {
    what: "kafka-consumer-perf-test",
    main: names.consumerPerf,
    args: "--topic t --messages 500 --group perf --timeout 20000".split(" ")
  },
  {
    what: "kafka-verifiable-producer",
    main: names.verifiableProducer,
    args: "--topic verified --max-messages 10".split(" "),
    isAlone: true
  },
  {
    what: "kafka-verifiable-consumer",
    main: names.verifiableConsumer,
    args: "--topic verified --max-messages 10 --group-id verifies".split(" "),
    isCodeOnly: true
  },
  {
    what: "kafka-e2e-latency",
    main: names.latency,
    args: {
      "3.9.1": "BROKERS verified 20 all 100".split(" "),
      "4.3.1":
        "--bootstrap-server BROKERS --topic verified --num-records 20 --producer-acks all --record-size 100".split(" ")
    }
  },
  {
    what: "kafka-streams-application-reset",
    main: names.streamsReset,
    args: "--application-id perf --input-topics t".split(" ")
  },
  {
    what: "kafka-streams-application-reset of no group",
    main: names.streamsReset,
    args: "--application-id none --input-topics none".split(" ")
  },
  {
    what: "kafka-consumer-groups deletes several",
    main: names.groups,
    args: "--delete --group perf --group verifies".split(" ")
  },
  { what: "kafka-topics deletes", main: names.topics, args: ["--delete", "--topic", "t"] },
  { what: "kafka-topics deletes another", main: names.topics, args: ["--delete", "--topic", "verified"] },
  { what: "kafka-topics deletes none", main: names.topics, args: ["--delete", "--topic", "t"] }
]

export const cases = (directory: string): ReadonlyArray<Case> => [
  ...topics,
  ...configs,
  ...records,
  ...groups,
  ...partitions(directory),
  ...transactions,
  ...cluster,
  { what: "kafka-topics creates another", main: names.topics, args: "--create --topic verified".split(" ") },
  ...loads
]
