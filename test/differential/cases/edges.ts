import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { CreatePartitions } from "@logbrook/protocols/kafka/messages/37_CreatePartitions"
import { type Ask, type Case, every, type Family, single, versionsOf } from "../Case.ts"
import { batch, named, nowhere, topicOf } from "../fixtures.ts"
import type { Side } from "../Side.ts"
import { fetchAsk, fetchTopic } from "./fetch.ts"
import { listAsk } from "./listOffsets.ts"
import { offsetsAsk } from "./offsets.ts"

const edges = "edges"

// --- An idempotent producer: each version has its own topic ---

interface Sent {
  readonly sequence: number
  readonly epoch?: number
  readonly producerId?: number
  readonly values?: ReadonlyArray<string>
}

const idempotent = (version: number): ReadonlyArray<Case> => {
  const topic = `${edges}-${version}`
  const send = (what: string, { sequence, epoch = 0, producerId, values = ["a", "b"] }: Sent): Case =>
    single(Produce, version, `idempotent: ${what}`, (side) => {
      const producer = { producerId: producerId ?? side.number("idempotent"), producerEpoch: epoch }
      const records = batch(values, { ...producer, baseSequence: sequence })
      const topicData = [{ ...named(side, version, 13, topic), partitionData: [{ index: 0, records }] }]
      return { transactionalId: null, acks: -1, timeoutMs: 5000, topicData }
    })
  const init = single(
    InitProducerId,
    5,
    "an idempotent producer's",
    () => ({ transactionalId: null, transactionTimeoutMs: 0 }),
    { learn: (side, { producerId }) => side.learnId("idempotent", producerId) }
  )
  return [
    init,
    send("the first", { sequence: 0 }),
    send("again", { sequence: 0 }),
    send("a gap", { sequence: 4 }),
    send("the next", { sequence: 2 }),
    send("the one before again", { sequence: 0 }),
    send("another length", { sequence: 2, values: ["c"] }),
    send("an epoch to come, not from 0", { sequence: 7, epoch: 1 }),
    send("an epoch to come", { sequence: 0, epoch: 1 }),
    send("an epoch before", { sequence: 2 }),
    send("of an id of nobody, from 0", { sequence: 0, producerId: 987_654 }),
    send("of another id of nobody, not from 0", { sequence: 3, producerId: 987_655 }),
    single(Fetch, 11, `idempotent: what version ${version} has written`, fetchAsk({ topic }))
  ]
}

// --- One request with much in it ---

const several = (): ReadonlyArray<Case> => {
  const records = batch(["a"])
  const produce =
    (partitions: ReadonlyArray<number>, topics: ReadonlyArray<string> = [edges]): Ask<typeof Produce> =>
    (side, version) => ({
      acks: -1,
      timeoutMs: 5000,
      topicData: topics.map((topic) => ({
        ...named(side, version, 13, topic),
        partitionData: partitions.map((index) => ({ index, records }))
      }))
    })
  const fetch =
    (more: object, partitions: ReadonlyArray<object>): Ask<typeof Fetch> =>
    (side, version) => {
      const {
        partitions: [first],
        ...topic
      } = fetchTopic(side, version, { topic: edges })
      return {
        maxWaitMs: 0,
        minBytes: 0,
        topics: [{ ...topic, partitions: partitions.map((each) => ({ ...first!, ...each })) }],
        ...more
      }
    }
  return [
    ...every(Produce, [3, 13], "to three partitions", produce([0, 1, 2])),
    ...every(Produce, [3, 13], "to three, of which one is none", produce([0, 77, 2])),
    ...every(Produce, [3, 13], "to a topic and to none", produce([0], [edges, nowhere])),
    ...every(Produce, [3, 13], "to nothing", produce([])),
    ...every(Produce, [3, 13], "to no topics", produce([0], [])),
    ...every(Produce, [13, 13], "without records", (side, version) => ({
      acks: -1,
      timeoutMs: 5000,
      topicData: [{ ...named(side, version, 13, edges), partitionData: [{ index: 0, records: null }] }]
    })),
    ...every(Fetch, [4, 18], "a byte of a partition", fetch({}, [{ partitionMaxBytes: 1 }])),
    ...every(Fetch, [4, 18], "no byte of a partition", fetch({}, [{ partitionMaxBytes: 0 }])),
    ...every(Fetch, [4, 18], "a byte in all", fetch({ maxBytes: 1 }, [{}, { partition: 1 }])),
    ...every(
      Fetch,
      [4, 18],
      "three partitions, of which one is none",
      fetch({}, [{}, { partition: 77 }, { partition: 2 }])
    ),
    ...every(Fetch, [4, 18], "no partitions", fetch({}, [])),
    ...every(Fetch, [12, 18], "behind an epoch that was", fetch({}, [{ lastFetchedEpoch: 0 }])),
    ...every(Fetch, [4, 18], "with an isolation level that is none", fetch({ isolationLevel: 7 }, [{}]))
  ]
}

// --- Offsets ---

const offsets = (): ReadonlyArray<Case> => {
  const commit =
    (groupId: string, partitions: ReadonlyArray<object>): Ask<typeof OffsetCommit> =>
    (side, version) => {
      const plain = { partitionIndex: 0, committedOffset: 3, committedMetadata: null }
      const topic = named(side, version, 10, edges)
      return { groupId, topics: [{ ...topic, partitions: partitions.map((each) => ({ ...plain, ...each })) }] }
    }
  const group = "edges' group"
  const look = every(OffsetFetch, [1, 10], "of odd commits", offsetsAsk(group, [[edges, [0, 1, 2]]]))
  return [
    ...every(OffsetCommit, [2, 10], "without a note", commit(group, [{}])),
    ...every(OffsetCommit, [2, 10], "an empty note", commit(group, [{ committedMetadata: "" }])),
    ...every(OffsetCommit, [2, 10], "the longest note", commit(group, [{ committedMetadata: "x".repeat(4096) }])),
    ...look,
    ...every(OffsetCommit, [2, 10], "a longer note", commit(group, [{ committedMetadata: "x".repeat(4097) }])),
    ...every(OffsetCommit, [2, 10], "a negative offset", commit(group, [{ committedOffset: -1 }])),
    ...every(
      OffsetCommit,
      [2, 10],
      "far behind the end",
      commit(group, [{ partitionIndex: 1, committedOffset: 1e12 }])
    ),
    ...every(OffsetCommit, [2, 10], "a partition twice", commit(group, [{}, { committedOffset: 4 }])),
    ...every(
      OffsetCommit,
      [2, 10],
      "some that are none",
      commit(group, [{}, { partitionIndex: 9 }, { partitionIndex: -1 }])
    ),
    ...every(OffsetCommit, [2, 10], "no partitions", commit(group, [])),
    ...every(OffsetCommit, [2, 10], "of a group without a name", commit("", [{ partitionIndex: 2 }])),
    ...every(OffsetCommit, [6, 10], "with a leader's epoch", commit(group, [{ committedLeaderEpoch: 5 }])),
    ...look,
    ...every(OffsetFetch, [1, 10], "of a group without a name", offsetsAsk("", [[edges, [2]]])),
    ...every(OffsetFetch, [1, 10], "no partitions", offsetsAsk(group, [[edges, []]])),
    ...every(OffsetFetch, [8, 10], "of two groups", (side, version) => ({
      groups: [group, "unheard-of"].map((groupId) => ({
        groupId,
        topics: [{ ...named(side, version, 10, edges), partitionIndexes: [0] }]
      }))
    })),
    ...every(OffsetFetch, [8, 10], "of no groups", () => ({ groups: [] })),
    ...every(ListOffsets, [1, 11], "a negative partition", listAsk(edges, -1, -1)),
    ...every(ListOffsets, [1, 11], "a time that is none", listAsk(edges, 0, -99)),
    ...every(ListOffsets, [1, 11], "a name that is none", listAsk("a/b", 0, -1)),
    ...every(OffsetForLeaderEpoch, [2, 4], "a negative epoch", () => ({
      topics: [{ topic: edges, partitions: [{ partition: 0, leaderEpoch: -1 }] }]
    })),
    ...every(OffsetForLeaderEpoch, [2, 4], "no topics", () => ({ topics: [] }))
  ]
}

// --- A topic's life ---

const life = (version: number): ReadonlyArray<Case> => {
  const name = `life-${version}`
  const create = (what: string, numPartitions: number, more: object = {}): Case =>
    single(
      CreateTopics,
      Math.min(version + 2, 7),
      `a life: ${what}`,
      () => ({ topics: [{ ...topicOf(name, numPartitions), ...more }], timeoutMs: 5000 }),
      {
        learn: (side: Side, { topics }) => {
          const [made] = topics
          if (made !== undefined && made.errorCode === 0) side.topicIds.set(name, made.topicId)
        }
      }
    )
  const grow = (what: string, count: number): Case =>
    single(CreatePartitions, Math.min(version, 3), `a life: ${what}`, () => ({
      topics: [{ name, count, assignments: null }],
      timeoutMs: 5000,
      validateOnly: false
    }))
  const remove = (what: string): Case =>
    single(DeleteTopics, Math.min(version + 1, 6), `a life: ${what}`, (_side, own) =>
      own >= 6
        ? { topics: [{ name, topicId: "AAAAAAAAAAAAAAAAAAAAAA" }], timeoutMs: 5000 }
        : { topicNames: [name], timeoutMs: 5000 }
    )
  const copies = { numPartitions: -1, replicationFactor: -1 }
  return [
    create("made by assignment and by number", 2, { assignments: [{ partitionIndex: 0, brokerIds: [1] }] }),
    create("made on a node that is none", -1, {
      ...copies,
      assignments: [{ partitionIndex: 0, brokerIds: [77] }]
    }),
    create("made without the first partition", -1, {
      ...copies,
      assignments: [{ partitionIndex: 1, brokerIds: [1] }]
    }),
    create("made", 1),
    create("made again", 1),
    grow("grown", 3),
    grow("grown again", 3),
    grow("shrunk", 1),
    remove("deleted"),
    remove("deleted again"),
    grow("grown when it is deleted", 5),
    create("made again behind its end", -1, {
      ...copies,
      assignments: [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1] }))
    })
  ]
}

export const edgesFamily: Family = {
  name: "edges",
  topics: [
    { name: edges, partitions: 3 },
    ...versionsOf([3, 13]).map((version) => ({ name: `${edges}-${version}`, partitions: 1 }))
  ],
  cases: () => [
    ...several(),
    ...versionsOf([3, 13]).flatMap(idempotent),
    ...offsets(),
    ...versionsOf([0, 5]).flatMap(life)
  ]
}
