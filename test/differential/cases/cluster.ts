import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { DescribeCluster } from "@logbrook/protocols/kafka/messages/60_DescribeCluster"
import { type Ask, type Case, every, type Family } from "../Case.ts"
import { nowhere, other, plain } from "../fixtures.ts"

const metadataAsk =
  (names: ReadonlyArray<string>, allowAutoTopicCreation = true): Ask<typeof Metadata> =>
  () => ({ topics: names.map((name) => ({ name })), allowAutoTopicCreation })

const metadata = (): ReadonlyArray<Case> => {
  const names: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["a topic", [plain]],
    ["a topic twice", [plain, plain]],
    ["two topics", [other, plain]],
    ["no such topic", [nowhere]],
    ["a name that is none", ["a/b"]],
    ["an empty name", [""]],
    ["a long name", ["x".repeat(250)]]
  ]
  return [
    ...names.flatMap(([what, asked]) => every(Metadata, [0, 13], what, metadataAsk(asked))),
    ...every(Metadata, [4, 13], "no such topic, not to be created", metadataAsk([nowhere], false)),
    ...every(Metadata, [1, 13], "nothing", metadataAsk([])),
    ...every(Metadata, [12, 13], "a topic by its id", (side) => ({
      topics: [{ topicId: side.idOf(plain), name: null }]
    })),
    ...every(Metadata, [12, 13], "an id that is none", (side) => ({
      topics: [{ topicId: side.idOf(nowhere), name: null }]
    })),
    ...every(Metadata, [8, 13], "what may be done", () => ({
      topics: [{ name: plain }],
      includeTopicAuthorizedOperations: true
    })),
    ...every(DescribeCluster, [0, 2], "the cluster", () => ({ includeClusterAuthorizedOperations: false })),
    ...every(DescribeCluster, [0, 2], "what may be done", () => ({ includeClusterAuthorizedOperations: true })),
    ...every(DescribeCluster, [1, 2], "controllers", () => ({
      includeClusterAuthorizedOperations: false,
      endpointType: 2
    }))
  ]
}

export const clusterFamily: Family = { name: "cluster", topics: [], cases: metadata }
