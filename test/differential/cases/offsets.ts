import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { DescribeGroups } from "@logbrook/protocols/kafka/messages/15_DescribeGroups"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import { type Ask, type Case, every, type Family } from "../Case.ts"
import { named, nowhere, plain } from "../fixtures.ts"

const group = "simple"

export const commitAsk =
  (groupId: string, topic: string, partitionIndex: number, more: object = {}): Ask<typeof OffsetCommit> =>
  (side, version) => ({
    groupId,
    topics: [
      {
        ...named(side, version, 10, topic),
        partitions: [{ partitionIndex, committedOffset: 7, committedLeaderEpoch: -1, committedMetadata: "note" }]
      }
    ],
    ...more
  })

export const offsetsAsk =
  (groupId: string, asked: ReadonlyArray<readonly [string, ReadonlyArray<number>]> | null): Ask<typeof OffsetFetch> =>
  (side, version) => {
    const topics =
      asked?.map(([topic, partitionIndexes]) => ({ name: "", ...named(side, version, 10, topic), partitionIndexes })) ??
      null
    return version < 8 ? { groupId, topics } : { groups: [{ groupId, topics }] }
  }

const groups = (): ReadonlyArray<Case> => [
  ...every(OffsetCommit, [2, 10], "of a simple consumer", commitAsk(group, plain, 0)),
  ...every(OffsetCommit, [2, 10], "of no topic", commitAsk(group, nowhere, 0)),
  ...every(OffsetCommit, [2, 10], "of no partition", commitAsk(group, plain, 77)),
  ...every(
    OffsetCommit,
    [2, 10],
    "of a generation that is none",
    commitAsk("unheard-of", plain, 0, { generationIdOrMemberEpoch: 3 })
  ),
  ...every(
    OffsetCommit,
    [2, 10],
    "of a member that is none",
    commitAsk(group, plain, 0, { generationIdOrMemberEpoch: 3, memberId: "m" })
  ),
  ...every(OffsetCommit, [2, 10], "of nothing", () => ({ groupId: group, topics: [] })),
  ...every(OffsetFetch, [1, 10], "what is committed", offsetsAsk(group, [[plain, [0, 1, 77]]])),
  ...every(OffsetFetch, [1, 10], "of no topic", offsetsAsk(group, [[nowhere, [0]]])),
  ...every(OffsetFetch, [2, 10], "all", offsetsAsk(group, null)),
  ...every(OffsetFetch, [1, 10], "nothing", offsetsAsk(group, [])),
  ...every(OffsetFetch, [1, 10], "of a group that is none", offsetsAsk("unheard-of", [[plain, [0]]])),
  ...every(FindCoordinator, [0, 3], "a group's", () => ({ key: group })),
  ...every(FindCoordinator, [4, 6], "groups'", () => ({ coordinatorKeys: [group, "another"] })),
  ...every(FindCoordinator, [1, 3], "of a type that is none", () => ({ key: group, keyType: 9 })),
  ...every(FindCoordinator, [4, 6], "of a type that is none", () => ({ coordinatorKeys: [group], keyType: 9 })),
  ...every(Heartbeat, [0, 4], "of a group that is none", () => ({
    groupId: "unheard-of",
    memberId: "m",
    generationId: 1
  })),
  ...every(Heartbeat, [0, 4], "of a group without a name", () => ({ groupId: "", memberId: "m", generationId: 1 })),
  ...every(DescribeGroups, [0, 6], "a group that is none", () => ({ groups: ["unheard-of"] })),
  ...every(DescribeGroups, [0, 6], "a simple consumer's", () => ({ groups: [group] })),
  ...every(DeleteGroups, [0, 2], "a group that is none", () => ({ groupsNames: ["unheard-of"] })),
  ...every(InitProducerId, [0, 5], "an id", () => ({ transactionalId: null, transactionTimeoutMs: 60_000 }))
]

export const offsetsFamily: Family = { name: "offsets", topics: [], cases: groups }
