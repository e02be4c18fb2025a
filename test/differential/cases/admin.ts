import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { ListGroups } from "@logbrook/protocols/kafka/messages/16_ListGroups"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { DeleteRecords } from "@logbrook/protocols/kafka/messages/21_DeleteRecords"
import { DescribeLogDirs } from "@logbrook/protocols/kafka/messages/35_DescribeLogDirs"
import { ElectLeaders } from "@logbrook/protocols/kafka/messages/43_ElectLeaders"
import { AlterPartitionReassignments } from "@logbrook/protocols/kafka/messages/45_AlterPartitionReassignments"
import { ListPartitionReassignments } from "@logbrook/protocols/kafka/messages/46_ListPartitionReassignments"
import { OffsetDelete } from "@logbrook/protocols/kafka/messages/47_OffsetDelete"
import { DescribeQuorum } from "@logbrook/protocols/kafka/messages/55_DescribeQuorum"
import { ListConfigResources } from "@logbrook/protocols/kafka/messages/74_ListConfigResources"
import { DescribeTopicPartitions } from "@logbrook/protocols/kafka/messages/75_DescribeTopicPartitions"
import { type Case, every, type Family } from "../Case.ts"
import { batch, nowhere, other, plain } from "../fixtures.ts"
import { fetchAsk } from "./fetch.ts"
import { commitAsk, offsetsAsk } from "./offsets.ts"
import { produceAsk } from "./produce.ts"

const trimmed = "trimmed"

type Partitions = ReadonlyArray<readonly [string, ReadonlyArray<number>]>

/** Partitions as many APIs are asked for them. */
const asked: ReadonlyArray<readonly [string, Partitions]> = [
  ["a topic", [[plain, [0, 1, 2]]]],
  [
    "two topics",
    [
      [plain, [0]],
      [other, [0]]
    ]
  ],
  ["no such topic", [[nowhere, [0]]]],
  ["no such partition", [[plain, [0, 77]]]],
  ["a negative partition", [[plain, [-1]]]],
  ["a name that is none", [["a/b", [0]]]],
  ["an empty name", [["", [0]]]],
  ["no partitions", [[plain, []]]],
  ["a partition twice", [[plain, [0, 0]]]],
  ["nothing", []]
]

// --- The node ---

const software = (clientSoftwareName: string, clientSoftwareVersion: string) => () => ({
  clientSoftwareName,
  clientSoftwareVersion
})

const versions = (): ReadonlyArray<Case> => {
  return [
    ...every(ApiVersions, [0, 4], "the versions", software("raw", "1")),
    ...every(ApiVersions, [3, 4], "of a client without a name", software("", "1")),
    ...every(ApiVersions, [3, 4], "of a client without a version", software("raw", "")),
    ...every(ApiVersions, [3, 4], "of a client with a wrong name", software("raw raw!", "1"))
  ]
}

const node = (): ReadonlyArray<Case> => {
  const topics = (partitions: Partitions) => partitions.map(([topic, own]) => ({ topic, partitions: own }))
  const metadataLog: ReadonlyArray<readonly [string, Partitions]> = [
    ["the metadata's log", [["__cluster_metadata", [0]]]],
    ["no such partition of it", [["__cluster_metadata", [1]]]]
  ]
  return [
    ...asked.flatMap(([what, partitions]) =>
      every(DescribeLogDirs, [1, 5], what, () => ({ topics: topics(partitions) }))
    ),
    ...[0, 1, 2, -1].flatMap((electionType) =>
      asked.flatMap(([what, partitions]) =>
        every(ElectLeaders, [electionType === 0 ? 0 : 1, 2], `${what}, of type ${electionType}`, () => ({
          electionType,
          topicPartitions: topics(partitions),
          timeoutMs: 1000
        }))
      )
    ),
    ...every(ElectLeaders, [0, 2], "all", () => ({ topicPartitions: null, timeoutMs: 1000 })),
    ...[...asked, ...metadataLog].flatMap(([what, partitions]) =>
      every(DescribeQuorum, [0, 2], what, () => ({
        topics: partitions.map(([topicName, own]) => ({
          topicName,
          partitions: own.map((partitionIndex) => ({ partitionIndex }))
        }))
      }))
    )
  ]
}

const alter = (partitions: Partitions, replicas: ReadonlyArray<number> | null) => () => ({
  timeoutMs: 1000,
  topics: partitions.map(([name, own]) => ({
    name,
    partitions: own.map((partitionIndex) => ({ partitionIndex, replicas }))
  }))
})

const reassignments = (): ReadonlyArray<Case> => {
  const targets: ReadonlyArray<readonly [string, ReadonlyArray<number> | null]> = [
    ["back", null],
    ["here", [1]],
    ["elsewhere", [2]],
    ["to two", [1, 2]],
    ["here twice", [1, 1]],
    ["nowhere", []],
    ["below 0", [-1]]
  ]
  return [
    ...targets.flatMap(([what, replicas]) =>
      every(AlterPartitionReassignments, [0, 1], `a partition ${what}`, alter([[plain, [0]]], replicas))
    ),
    ...asked.flatMap(([what, partitions]) =>
      every(AlterPartitionReassignments, [0, 1], `${what} back`, alter(partitions, null))
    ),
    ...asked.flatMap(([what, partitions]) =>
      every(AlterPartitionReassignments, [0, 1], `${what} here`, alter(partitions, [1]))
    ),
    ...asked.flatMap(([what, partitions]) =>
      every(ListPartitionReassignments, [0, 0], what, () => ({
        topics: partitions.map(([name, partitionIndexes]) => ({ name, partitionIndexes })),
        timeoutMs: 1000
      }))
    ),
    ...every(ListPartitionReassignments, [0, 0], "all", () => ({ topics: null, timeoutMs: 1000 }))
  ]
}

// --- Topics ---

const pages = (): ReadonlyArray<Case> => {
  const names: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["a topic", [plain]],
    ["two topics", [other, plain]],
    ["a topic twice", [plain, plain]],
    ["no such topic", [nowhere]],
    ["a name that is none", ["a/b"]],
    ["an empty name", [""]]
  ]
  const cursors: ReadonlyArray<readonly [string, { readonly topicName: string; readonly partitionIndex: number }]> = [
    ["a partition", { topicName: plain, partitionIndex: 1 }],
    ["a partition that is none", { topicName: plain, partitionIndex: 77 }],
    ["a topic before it", { topicName: "a", partitionIndex: 0 }],
    ["a topic behind it", { topicName: "z", partitionIndex: 0 }],
    ["a negative partition", { topicName: plain, partitionIndex: -1 }]
  ]
  return [
    ...names.flatMap(([what, topics]) =>
      every(DescribeTopicPartitions, [0, 0], what, () => ({ topics: topics.map((name) => ({ name })) }))
    ),
    ...[1, 2, 3, 0, -1].flatMap((responsePartitionLimit) =>
      every(DescribeTopicPartitions, [0, 0], `a page of ${responsePartitionLimit}`, () => ({
        topics: [other, plain].map((name) => ({ name })),
        responsePartitionLimit
      }))
    ),
    ...cursors.flatMap(([what, cursor]) =>
      every(
        DescribeTopicPartitions,
        [0, 0],
        `from ${what} on`,
        () => ({
          topics: [other, plain].map((name) => ({ name })),
          cursor
        }),
        { connection: what }
      )
    )
  ]
}

const records = (): ReadonlyArray<Case> => {
  const to = (partitions: Partitions, offset: number) => () => ({
    topics: partitions.map(([name, own]) => ({
      name,
      partitions: own.map((partitionIndex) => ({ partitionIndex, offset }))
    })),
    timeoutMs: 1000
  })
  const written = batch(["a", "b", "c", "d"])
  const one: Partitions = [[trimmed, [0]]]
  return [
    ...every(Produce, [9, 11], "to be deleted", produceAsk(trimmed, 0, written)),
    ...every(DeleteRecords, [0, 2], "of none", to(one, 0)),
    ...every(DeleteRecords, [0, 2], "within a batch", to(one, 2)),
    ...every(
      Fetch,
      [4, 18],
      "within a batch that begins below the start",
      fetchAsk({ topic: trimmed, fetchOffset: 2 })
    ),
    ...every(Fetch, [4, 18], "below the start that was raised", fetchAsk({ topic: trimmed, fetchOffset: 1 })),
    ...every(DeleteRecords, [0, 2], "below the start", to(one, 1)),
    ...every(DeleteRecords, [0, 2], "above the end", to(one, 100)),
    ...every(DeleteRecords, [0, 2], "at a negative offset", to(one, -2)),
    ...every(DeleteRecords, [0, 2], "all", to(one, -1)),
    ...every(Fetch, [4, 18], "when all are deleted", fetchAsk({ topic: trimmed, fetchOffset: 12 })),
    ...every(DeleteRecords, [0, 2], "of a compacted topic", to([[other, [0]]], 0)),
    ...every(DeleteRecords, [0, 2], "of no topic", to([[nowhere, [0]]], 0)),
    ...every(DeleteRecords, [0, 2], "of no partition", to([[trimmed, [0, 77, -1]]], 0)),
    ...every(DeleteRecords, [0, 2], "of a name that is none", to([["a/b", [0]]], 0)),
    ...every(DeleteRecords, [0, 2], "of nothing", to([], 0)),
    ...every(DeleteRecords, [0, 2], "of a partition twice", to([[trimmed, [0, 0]]], 0))
  ]
}

// --- Groups without members ---

const deleting = (groupId: string, partitions: Partitions) => () => ({
  groupId,
  topics: partitions.map(([name, own]) => ({
    name,
    partitions: own.map((partitionIndex) => ({ partitionIndex }))
  }))
})

const groupOffsets = (): ReadonlyArray<Case> => {
  const simple = "offsets to delete"
  const states = [[], ["Empty"], ["empty"], ["Stable"], ["Sleeping"], ["Empty", "Sleeping"]]
  const types = [[], ["classic"], ["Classic"], ["consumer"], ["share"], ["sleepy"]]
  return [
    ...every(OffsetCommit, [2, 10], "to be deleted", commitAsk(simple, plain, 0)),
    ...every(OffsetCommit, [2, 10], "to stay", commitAsk(simple, trimmed, 0)),
    ...states.flatMap((statesFilter) =>
      every(ListGroups, [4, 5], `in ${statesFilter.join()}`, () => ({ statesFilter }))
    ),
    ...types.flatMap((typesFilter) =>
      every(ListGroups, [5, 5], `of type ${typesFilter.join()}`, () => ({ typesFilter }))
    ),
    ...every(ListGroups, [0, 5], "all", () => ({})),
    ...asked.flatMap(([what, partitions]) => every(OffsetDelete, [0, 0], what, deleting(simple, partitions))),
    ...every(OffsetDelete, [0, 0], "of a group that is none", deleting("unheard-of", [[plain, [0]]])),
    ...every(OffsetDelete, [0, 0], "of a group without a name", deleting("", [[plain, [0]]])),
    ...every(OffsetFetch, [1, 10], "what was deleted", offsetsAsk(simple, [[plain, [0, 1]]])),
    ...every(ListGroups, [0, 5], "all, when offsets were deleted", () => ({}))
  ]
}

const resources = (): ReadonlyArray<Case> => [
  ...every(ListConfigResources, [0, 0], "client metrics", () => ({})),
  ...[[2], [4], [8], [16], [32], [1], [2, 4], [99], []].flatMap((resourceTypes) =>
    every(ListConfigResources, [1, 1], `of ${resourceTypes.join(" and ")}`, () => ({ resourceTypes }))
  )
]

export const adminFamily: Family = {
  name: "admin",
  topics: [{ name: trimmed, partitions: 1 }],
  cases: () => [
    ...versions(),
    ...node(),
    ...reassignments(),
    ...pages(),
    ...records(),
    ...groupOffsets(),
    ...resources()
  ]
}
