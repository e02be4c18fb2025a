import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { CreatePartitions } from "@logbrook/protocols/kafka/messages/37_CreatePartitions"
import { type Ask, type Case, every, type Family } from "../Case.ts"
import { nowhere, plain, topicOf } from "../fixtures.ts"

const twice = () => ({ topics: [topicOf("fine", 1), topicOf("fine", 2)], timeoutMs: 1000, validateOnly: true })

const createTopics = (): ReadonlyArray<Case> => {
  const asks: ReadonlyArray<readonly [string, ReturnType<typeof topicOf>]> = [
    ["a topic that can be", topicOf("fine", 2)],
    ["one that is there", topicOf(plain, 2)],
    ["no partitions", topicOf("none", 0)],
    ["fewer than no partitions", topicOf("negative", -2)],
    ["three copies", { ...topicOf("copies", 1), replicationFactor: 3 }],
    ["no copy", { ...topicOf("copies", 1), replicationFactor: 0 }],
    ["a name with a slash", topicOf("a/b", 1)],
    ["an empty name", topicOf("", 1)],
    ["a long name", topicOf("x".repeat(250), 1)],
    ["a setting that is none", topicOf("setting", 1, [["no.such.setting", "1"]])],
    ["a setting with a wrong value", topicOf("setting", 1, [["retention.ms", "soon"]])]
  ]
  return [
    ...asks.flatMap(([what, topic]) =>
      every(CreateTopics, [2, 7], what, () => ({ topics: [topic], timeoutMs: 1000, validateOnly: true }))
    ),
    ...every(CreateTopics, [2, 7], "a topic twice", twice),
    ...every(CreateTopics, [2, 7], "nothing", () => ({ topics: [], timeoutMs: 1000, validateOnly: true }))
  ]
}

const deletingAsk =
  (topic: string): Ask<typeof DeleteTopics> =>
  (_side, version) =>
    version >= 6
      ? { topics: [{ name: topic, topicId: "AAAAAAAAAAAAAAAAAAAAAA" }], timeoutMs: 1000 }
      : { topicNames: [topic], timeoutMs: 1000 }
const growingAsk =
  (name: string, count: number): Ask<typeof CreatePartitions> =>
  () => ({ topics: [{ name, count, assignments: null }], timeoutMs: 1000, validateOnly: true })
const epochAsk =
  (topic: string, partition: number, leaderEpoch: number): Ask<typeof OffsetForLeaderEpoch> =>
  (side) => ({
    topics: [{ topic, partitions: [{ partition, leaderEpoch: side.leaderEpoch + leaderEpoch }] }]
  })

const admin = (): ReadonlyArray<Case> => {
  return [
    ...every(DeleteTopics, [1, 6], "no such topic", deletingAsk(nowhere)),
    ...every(CreatePartitions, [0, 3], "more", growingAsk(plain, 5)),
    ...every(CreatePartitions, [0, 3], "as many", growingAsk(plain, 3)),
    ...every(CreatePartitions, [0, 3], "fewer", growingAsk(plain, 1)),
    ...every(CreatePartitions, [0, 3], "of no topic", growingAsk(nowhere, 5)),
    ...every(OffsetForLeaderEpoch, [2, 4], "the leader's", epochAsk(plain, 0, 0)),
    ...every(OffsetForLeaderEpoch, [2, 4], "one to come", epochAsk(plain, 0, 5)),
    ...every(OffsetForLeaderEpoch, [2, 4], "of no topic", epochAsk(nowhere, 0, 0)),
    ...every(OffsetForLeaderEpoch, [2, 4], "of no partition", epochAsk(plain, 77, 0))
  ]
}

/** Once before records are written, and once behind. */
export const topicsFamily: Family = { name: "topics", topics: [], cases: () => [...createTopics(), ...admin()] }
