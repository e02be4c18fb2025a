import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { DescribeGroups } from "@logbrook/protocols/kafka/messages/15_DescribeGroups"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { CreatePartitions } from "@logbrook/protocols/kafka/messages/37_CreatePartitions"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import { DescribeCluster } from "@logbrook/protocols/kafka/messages/60_DescribeCluster"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import type { Side } from "./Side.ts"

/** A request that both servers get, one behind the other, each with its own ids in it. */
export interface Case {
  readonly api: AnyApi
  readonly version: number
  /** What is asked, in words. */
  readonly what: string
  readonly send: (side: Side) => Promise<unknown>
}

type Ask<A extends AnyApi> = (side: Side, version: number) => RequestInputOf<A>
type Learn<A extends AnyApi> = (side: Side, response: ResponseOf<A>) => void

const single = <A extends AnyApi>(api: A, version: number, what: string, ask: Ask<A>, learn?: Learn<A>): Case => ({
  api,
  version,
  what,
  send: async (side) => {
    const response = await side.ask(api, version, ask(side, version))
    if (response !== undefined) learn?.(side, response)
    return response
  }
})

/** The same in each of these versions. */
const every = <A extends AnyApi>(
  api: A,
  [min, max]: readonly [number, number],
  what: string,
  ask: Ask<A>,
  learn?: Learn<A>
): ReadonlyArray<Case> => Array.from({ length: max - min + 1 }, (_, i) => single(api, min + i, what, ask, learn))

export const plain = "plain"
export const other = "other"
const nowhere = "nowhere"
const group = "simple"
/** A round time, which both servers take for some minutes ago. */
const beganMs = Math.floor((Date.now() - 600_000) / 1000) * 1000

const batch = (values: ReadonlyArray<string>, firstMs = beganMs): Uint8Array => {
  const builder = new RecordsBuilder(100_000)
  values.forEach((value, i) => builder.append(Buffer.from("k"), Buffer.from(value), noHeaders, firstMs + i))
  const times = { baseTimestampMs: builder.firstTimestampMs, maxTimestampMs: builder.maxTimestampMs }
  return buildBatch({ baseOffset: 0, partitionLeaderEpoch: -1, count: values.length, ...times }, builder.bytes.slice())
}

const spoilt = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy
}

const named = (side: Side, version: number, byIdSince: number, topic: string) =>
  version >= byIdSince ? { topicId: side.idOf(topic) } : { name: topic }

// --- CreateTopics, which also makes what the others ask about ---

const topicOf = (name: string, numPartitions: number, configs: ReadonlyArray<readonly [string, string]> = []) => ({
  name,
  numPartitions,
  replicationFactor: 1,
  assignments: [],
  configs: configs.map(([key, value]) => ({ name: key, value }))
})

export const making: ReadonlyArray<Case> = [
  single(
    CreateTopics,
    7,
    "the topics of the other cases",
    () => ({ topics: [topicOf(plain, 3), topicOf(other, 1, [["cleanup.policy", "compact"]])], timeoutMs: 10_000 }),
    (side, { topics }) => topics.forEach(({ name, topicId }) => side.topicIds.set(name, topicId))
  )
]

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
  const twice = () => ({ topics: [topicOf("fine", 1), topicOf("fine", 2)], timeoutMs: 1000, validateOnly: true })
  return [
    ...asks.flatMap(([what, topic]) =>
      every(CreateTopics, [2, 7], what, () => ({ topics: [topic], timeoutMs: 1000, validateOnly: true }))
    ),
    ...every(CreateTopics, [2, 7], "a topic twice", twice),
    ...every(CreateTopics, [2, 7], "nothing", () => ({ topics: [], timeoutMs: 1000, validateOnly: true }))
  ]
}

// --- Produce ---

const produceAsk =
  (topic: string, index: number, records: Uint8Array | null, acks = -1): Ask<typeof Produce> =>
  (side, version) => ({
    transactionalId: null,
    acks,
    timeoutMs: 5000,
    topicData: [{ ...named(side, version, 13, topic), partitionData: [{ index, records }] }]
  })

const produce = (): ReadonlyArray<Case> => {
  const good = batch(["a", "b"])
  const asks: ReadonlyArray<readonly [string, Ask<typeof Produce>]> = [
    ["a batch", produceAsk(plain, 0, good)],
    ["a batch, acks 1", produceAsk(plain, 1, good, 1)],
    ["acks 2", produceAsk(plain, 0, good, 2)],
    ["to no topic", produceAsk(nowhere, 0, good)],
    ["to no partition", produceAsk(plain, 77, good)],
    ["to a negative partition", produceAsk(plain, -1, good)],
    ["a wrong checksum", produceAsk(plain, 0, spoilt(good, good.length - 1))],
    ["a wrong count", produceAsk(plain, 0, spoilt(good, 60))],
    ["old magic", produceAsk(plain, 0, spoilt(good, 16))],
    ["two batches", produceAsk(plain, 0, Buffer.concat([good, good]))],
    ["half a batch", produceAsk(plain, 0, good.subarray(0, good.length - 3))],
    ["no bytes", produceAsk(plain, 0, new Uint8Array(0))],
    ["times far ahead", produceAsk(plain, 0, batch(["x"], beganMs + 10 * 3_600_000))]
  ]
  return asks.flatMap(([what, ask]) => every(Produce, [3, 13], what, ask))
}

// --- Fetch ---

interface FetchAsk {
  readonly topic?: string
  readonly partition?: number
  readonly fetchOffset?: number
  readonly epoch?: number
  readonly lastFetchedEpoch?: number
  readonly isolationLevel?: number
}

const fetchTopic = (side: Side, version: number, ask: FetchAsk) => {
  const { topic = plain, partition = 0, fetchOffset = 0, epoch, lastFetchedEpoch = -1 } = ask
  const currentLeaderEpoch = epoch === undefined ? -1 : side.leaderEpoch + epoch
  const asked = { partition, fetchOffset, currentLeaderEpoch, lastFetchedEpoch, partitionMaxBytes: 1_048_576 }
  return { ...(version >= 13 ? { topicId: side.idOf(topic) } : { topic }), partitions: [asked] }
}

const fetchAsk =
  (ask: FetchAsk): Ask<typeof Fetch> =>
  (side, version) => ({
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_048_576,
    isolationLevel: ask.isolationLevel ?? 0,
    topics: [fetchTopic(side, version, ask)]
  })

const fetch = (): ReadonlyArray<Case> => {
  const asks: ReadonlyArray<readonly [string, FetchAsk]> = [
    ["from the start", {}],
    ["within a batch", { fetchOffset: 1 }],
    ["from the end", { partition: 2 }],
    ["above the end", { partition: 2, fetchOffset: 1 }],
    ["below the start", { fetchOffset: -1 }],
    ["read_committed", { isolationLevel: 1 }],
    ["no topic", { topic: nowhere }],
    ["no partition", { partition: 77 }],
    ["a negative partition", { partition: -1 }],
    ["the leader's epoch", { epoch: 0 }],
    ["an epoch to come", { epoch: 5 }]
  ]
  return asks.flatMap(([what, ask]) => every(Fetch, [4, 18], what, fetchAsk(ask)))
}

type SessionAsk = Partial<RequestInputOf<typeof Fetch>>

const inSession =
  (sessionEpoch: number, more: (side: Side, version: number) => SessionAsk = () => ({})): Ask<typeof Fetch> =>
  (side, version) => ({
    maxWaitMs: 0,
    minBytes: 0,
    maxBytes: 1_048_576,
    sessionId: side.number("session"),
    sessionEpoch,
    topics: [],
    ...more(side, version)
  })

const learnSession: Learn<typeof Fetch> = (side, { sessionId }) => void side.numbers.set("session", sessionId)

/** A session's life, once in each version; what is asked by id or by name must stay so. */
const fetchSessions = (version: number): ReadonlyArray<Case> => {
  const one = (what: string, ask: Ask<typeof Fetch>, learn?: Learn<typeof Fetch>): Case =>
    single(Fetch, version, `a session: ${what}`, ask, learn)
  const three = (side: Side): SessionAsk => ({
    topics: [0, 1, 2].map((partition) => fetchTopic(side, version, { partition }))
  })
  const forgotten = (side: Side): SessionAsk => ({
    forgottenTopicsData: [{ ...(version >= 13 ? { topicId: side.idOf(plain) } : { topic: plain }), partitions: [1] }]
  })
  const asks = (ask: FetchAsk) => (side: Side) => ({ topics: [fetchTopic(side, version, ask)] })
  const fresh = (side: Side): SessionAsk => ({ ...three(side), sessionId: 0 })
  return [
    one("opened", inSession(0, fresh), learnSession),
    one("everything again", inSession(1)),
    one("no more of one partition", inSession(2, asks({ fetchOffset: 1_000_000 }))),
    one("an offset again that is there", inSession(3, asks({ fetchOffset: 2 }))),
    one("its end", inSession(4, asks({ partition: 1, fetchOffset: 1 }))),
    one("a partition that is not there", inSession(5, asks({ partition: 9 }))),
    one("a topic that is not there", inSession(6, asks({ topic: nowhere }))),
    one("a partition forgotten", inSession(7, forgotten)),
    one("an epoch again", inSession(7)),
    one("an epoch to come", inSession(12)),
    one(
      "an id that is none",
      inSession(1, () => ({ sessionId: 123_456 }))
    ),
    one(
      "no id",
      inSession(3, () => ({ sessionId: 0 }))
    ),
    one("opened anew", inSession(0, three), learnSession),
    one("the new one", inSession(1)),
    one("closed", inSession(-1)),
    one("when it is closed", inSession(2)),
    one(
      "opened with nothing",
      inSession(0, () => ({ sessionId: 0 })),
      learnSession
    ),
    one("nothing, and it ends", inSession(1)),
    one("none any more", inSession(2))
  ]
}

const versionsOf = ([min, max]: readonly [number, number]): ReadonlyArray<number> =>
  Array.from({ length: max - min + 1 }, (_, i) => min + i)

/** Sessions by name and by id do not know each other. */
const sessionOfOtherKind: ReadonlyArray<Case> = [12, 13].flatMap((version) => [
  single(
    Fetch,
    version,
    "a session: opened",
    inSession(0, (side) => ({ sessionId: 0, topics: [fetchTopic(side, version, {})] })),
    learnSession
  ),
  single(Fetch, 25 - version, "a session: of the other kind", inSession(1))
])

// --- ListOffsets ---

const listAsk =
  (
    topic: string,
    partitionIndex: number,
    timestamp: number,
    epoch?: number,
    isolationLevel = 0
  ): Ask<typeof ListOffsets> =>
  (side) => ({
    replicaId: -1,
    isolationLevel,
    topics: [
      {
        name: topic,
        partitions: [
          { partitionIndex, timestamp, currentLeaderEpoch: epoch === undefined ? -1 : side.leaderEpoch + epoch }
        ]
      }
    ],
    timeoutMs: 1000
  })

const listOffsets = (): ReadonlyArray<Case> => {
  const timestamps = [-1, -2, -3, -4, -5, -6, -7, 0, beganMs, beganMs + 1, beganMs + 3_600_000_000]
  return [
    ...timestamps.flatMap((timestamp) =>
      [0, 2].flatMap((partition) =>
        [0, 1].flatMap((isolation) =>
          every(
            ListOffsets,
            [1, 11],
            `${timestamp < 0 ? timestamp : `time ${timestamp - beganMs}`} of ${partition}, isolation ${isolation}`,
            listAsk(plain, partition, timestamp, undefined, isolation)
          )
        )
      )
    ),
    ...every(ListOffsets, [1, 11], "no topic", listAsk(nowhere, 0, -1)),
    ...every(ListOffsets, [1, 11], "no partition", listAsk(plain, 77, -1)),
    ...every(ListOffsets, [1, 11], "the leader's epoch", listAsk(plain, 0, -1, 0)),
    ...every(ListOffsets, [1, 11], "an epoch to come", listAsk(plain, 0, -1, 5)),
    ...every(ListOffsets, [1, 11], "a partition twice", (side, version) => {
      const once = listAsk(plain, 0, -1)(side, version)
      return { ...once, topics: [...once.topics, ...once.topics] }
    })
  ]
}

// --- Metadata and the cluster ---

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

// --- Groups ---

const commitAsk =
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

const offsetsAsk =
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

// --- The rest ---

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

/** In this order: later ones find what earlier ones have written. */
export const cases = (): ReadonlyArray<Case> => [
  ...metadata(),
  ...createTopics(),
  ...admin(),
  ...produce(),
  ...fetch(),
  ...versionsOf([7, 18]).flatMap(fetchSessions),
  ...sessionOfOtherKind,
  ...listOffsets(),
  ...groups(),
  ...admin()
]
