import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import { DescribeTransactions } from "@logbrook/protocols/kafka/messages/65_DescribeTransactions"
import { ListTransactions } from "@logbrook/protocols/kafka/messages/66_ListTransactions"
import { type Case, every, type Family, versionsOf } from "../Case.ts"
import { nowhere, plain } from "../fixtures.ts"
import { Conversation, type Of } from "./Conversation.ts"

/** Rounds of a conversation: each asks every API in another version, as far as it has so many. */
const rounds = versionsOf([0, 10])
const roundsOfVersion2 = versionsOf([0, 5])

// --- A transaction from its begin to its end ---

const commits = (about: Conversation): void => {
  about.describe("before it begins")
  about.init("begins")
  about.describe("begun")
  about.addPartitions("two partitions", [[about.topic, [0, 1]]])
  about.addPartitions("two partitions again", [[about.topic, [0, 1]]])
  about.addPartitions("none", [])
  about.describe("open")
  about.produce("a batch")
  about.produce("the batch again")
  about.produce("a sequence to come", { sequence: 9 })
  about.produce("the next batch", { sequence: 2, values: ["c"] })
  about.produce("to the other partition", { partition: 1 })
  about.read("while it is open")
  about.read("behind it while it is open", { fetchOffset: 2 })
  about.describe("that has written")
  about.addOffsets("a group")
  about.addOffsets("a group again")
  about.commitOffsets("of two partitions", { partitions: [0, 1] })
  about.commitOffsets("an older one", { partitions: [1], offset: 3, metadata: null })
  about.offsets("while it is open", [0, 1, 2])
  about.end("commits", true)
  about.read("committed", { settled: true })
  about.read("the marker", { fetchOffset: 3 })
  about.read("the other partition", { partition: 1, settled: true })
  about.offsets("committed", [0, 1, 2], true)
  about.describe("committed", true)
}

const aborts = (about: Conversation): void => {
  about.addPartitions("the next one's", [[about.topic, [0]]])
  about.produce("of the next one", { sequence: 3 })
  about.read("the next one's")
  about.addOffsets("the next one's")
  about.commitOffsets("of the next one", { offset: 9 })
  about.end("aborts", false)
  about.read("aborted", { settled: true })
  about.read("the aborted alone", { fetchOffset: 4 })
  about.read("the marker of the aborted", { fetchOffset: 6 })
  about.offsets("aborted", [0, 1, 2], true)
  about.describe("aborted", true)
}

const endsAgain = (about: Conversation): void => {
  about.addPartitions("to end it twice", [[about.topic, [2]]])
  about.produce("to end it twice", { partition: 2 })
  about.end("commits, to do so twice", true)
  about.describe("before it commits again", true)
  about.end("commits again", true)
  about.end("aborts what is committed", false)
  about.addPartitions("to abort it twice", [[about.topic, [2]]])
  about.end("aborts, to do so twice", false)
  about.describe("before it aborts again", true)
  about.end("aborts again", false)
  about.end("commits what is aborted", true)
}

// --- The same by producers of `transaction.version` 2 (KIP-890) ---

const commitsByVersion2 = (about: Conversation): void => {
  about.init("begins")
  about.produce("a batch")
  about.produce("the batch again")
  about.produce("a sequence to come", { sequence: 9 })
  about.produce("to the other partition", { partition: 1 })
  about.describe("open")
  about.read("while it is open")
  about.commitOffsets("of two partitions", { partitions: [0, 1] })
  about.offsets("while it is open", [0, 1, 2])
  about.end("commits", true)
  about.read("committed", { settled: true })
  about.read("the marker", { fetchOffset: 2 })
  about.offsets("committed", [0, 1, 2], true)
  about.describe("committed", true)
}

const abortsByVersion2 = (about: Conversation): void => {
  about.produce("of the next one")
  about.commitOffsets("of the next one", { offset: 9 })
  about.read("the next one's")
  about.end("aborts", false)
  about.read("aborted", { settled: true })
  about.read("the aborted alone", { fetchOffset: 3 })
  about.offsets("aborted", [0, 1, 2], true)
  about.describe("aborted", true)
  about.commitOffsets("of one that has no records", { offset: 11 })
  about.describe("open without records")
  about.end("commits offsets alone", true)
  about.offsets("committed alone", [0, 1, 2], true)
}

const endsAgainByVersion2 = (about: Conversation): void => {
  about.produce("to end it twice", { partition: 2 })
  about.end("commits, to do so twice", true)
  about.describe("before it commits again", true)
  about.end("commits again", true, { epoch: -1, keep: "none" })
  about.end("aborts what is committed, with the epoch before", false, { epoch: -1, keep: "none" })
  about.end("commits nothing", true)
  about.end("aborts nothing", false)
  about.describe("that aborted nothing", true)
  about.end("aborts nothing again", false, { epoch: -1, keep: "none" })
  about.end("commits what is aborted, with the epoch before", true, { epoch: -1, keep: "none" })
  about.end("with an epoch of long ago", false, { epoch: -3, keep: "none" })
}

const wrongsOfVersion2 = (about: Conversation): void => {
  about.init("begins")
  for (const [what, of] of wrongProducers) refusesAll(about, `at rest, ${what}`, { ...of, keep: "none" })
  about.end("aborts nothing", false)
  about.describe("that aborted nothing", true)
  about.produce("to be open")
  for (const [what, of] of wrongProducers) refusesAll(about, `open, ${what}`, { ...of, keep: "none" })
  about.produce("without a transactional id", { withoutId: true, sequence: 2 })
  about.produce("that is not transactional", { isTransactional: false, sequence: 2 })
  about.produce("to no topic", { topic: nowhere, sequence: 2 })
  about.produce("to no partition", { partition: 77, sequence: 2 })
  about.commitOffsets("of an empty group", { groupId: "" })
  about.commitOffsets("of no topic", { topic: nowhere })
  about.commitOffsets("of no partition", { partitions: [0, 77, -1] })
  about.commitOffsets("of a generation that is none", { member: { generationId: 3, memberId: "m" } })
  about.describe("of much that was refused")
  about.end("aborts", false)
  about.read("of much that was refused", { settled: true })
  about.describe("aborted", true)
}

const fencesOfVersion2 = (about: Conversation): void => {
  about.init("begins", { keep: "zombie" })
  about.init("begins again")
  about.produce("a batch")
  refusesAll(about, "the zombie while it is open", { as: "zombie", keep: "none" })
  about.init("begins while one is open")
  about.read("the one that was open", { settled: true })
  about.produce("of the new one")
  about.init("goes on while one is open", { goesOn: true })
  about.read("of the new one", { settled: true })
  about.describe("gone on", true)
  about.produce("behind it")
  about.end("commits", true)
  about.init("goes on", { goesOn: true })
  about.describe("gone on behind a commit", true)
}

// --- Producers that are not, or no longer, the transactional id's ---

const wrongProducers: ReadonlyArray<readonly [string, Of]> = [
  ["an epoch to come", { epoch: 1 }],
  ["an epoch below 0", { epoch: -100 }],
  ["an id of nobody", { producerId: 987_654 }],
  ["no producer id", { producerId: -1 }],
  ["a transactional id of nobody", { id: "nobody" }],
  ["an empty transactional id", { id: "" }]
]

const refusesAll = (about: Conversation, what: string, of: Of): void => {
  about.addPartitions(`${what}: partitions`, [[about.topic, [0]]], of)
  about.addOffsets(`${what}: a group`, of)
  about.commitOffsets(`${what}: offsets`, of)
  about.produce(`${what}: a batch`, { sequence: 50, topic: about.spare, ...of })
  about.end(`${what}: commits`, true, of)
  about.end(`${what}: aborts`, false, of)
}

const wrongs = (about: Conversation): void => {
  about.init("begins")
  for (const [what, of] of wrongProducers) refusesAll(about, `at rest, ${what}`, of)
  about.end("commits nothing", true)
  about.end("aborts nothing", false)
  about.addPartitions("to be open", [[about.topic, [0]]])
  about.produce("to be open")
  for (const [what, of] of wrongProducers) refusesAll(about, `open, ${what}`, of)
  about.addPartitions("no such topic", [[nowhere, [0]]])
  about.addPartitions("no such topic beside one that is", [
    [about.topic, [2]],
    [nowhere, [0]]
  ])
  about.addPartitions("no such partition", [[about.topic, [0, 77, -1]]])
  about.addPartitions("a name that is none", [["a/b", [0]]])
  about.addPartitions("a topic twice", [
    [about.topic, [0]],
    [about.topic, [1, 1]]
  ])
  about.produce("to a partition that was not added", { partition: 2 })
  about.produce("without a transactional id", { withoutId: true, sequence: 2 })
  about.produce("that is not transactional", { isTransactional: false, sequence: 2 })
  about.produce("that is neither", { isTransactional: false, withoutId: true, sequence: 2 })
  about.produce("acks 1", { acks: 1, sequence: 2 })
  about.produce("to no topic", { topic: nowhere, sequence: 2 })
  about.produce("to no partition", { partition: 77, sequence: 2 })
  about.addOffsets("an empty group", { groupId: "" })
  about.commitOffsets("of a group that was not added", { groupId: "not added" })
  about.commitOffsets("of an empty group", { groupId: "" })
  about.addOffsets("a group")
  about.commitOffsets("of no topic", { topic: nowhere })
  about.commitOffsets("of no partition", { partitions: [0, 77, -1] })
  about.commitOffsets("of a long note", { metadata: "x".repeat(5000) })
  about.commitOffsets("of a negative offset", { offset: -1 })
  about.commitOffsets("of a partition twice", { partitions: [1, 1] })
  about.commitOffsets("of a generation that is none", { member: { generationId: 3, memberId: "m" } })
  about.commitOffsets("of a member without a generation", { member: { memberId: "m" } })
  about.commitOffsets("of an instance that is none", { member: { groupInstanceId: "i" } })
  about.offsets("of much that was refused", [0, 1, 2])
  about.end("aborts", false)
  about.read("of much that was refused", { settled: true })
}

// --- Producers that replace each other ---

const fences = (about: Conversation): void => {
  about.init("begins", { keep: "zombie" })
  about.init("begins again")
  refusesAll(about, "the zombie at rest", { as: "zombie" })
  about.init("the zombie goes on at rest", { goesOn: true, as: "zombie", keep: "zombie" })
  about.addPartitions("partitions", [[about.topic, [0]]])
  about.produce("a batch")
  refusesAll(about, "the zombie while it is open", { as: "zombie" })
  about.describe("open")
  about.init("begins while one is open")
  about.read("the one that was open", { settled: true })
  about.describe("begun anew", true)
  about.init("goes on", { goesOn: true })
  about.init("goes on with an epoch to come", { goesOn: true, epoch: 7, keep: "none" })
  about.init("goes on with an id of nobody", { goesOn: true, producerId: 987_654, keep: "none" })
  about.init("goes on without an id", { goesOn: true, producerId: -1, keep: "none" })
  about.init("goes on with a negative epoch", { goesOn: true, epoch: -500, keep: "none" })
  about.addPartitions("partitions of the new one", [[about.topic, [0]]])
  about.produce("of the new one")
  about.init("goes on while one is open", { goesOn: true })
  about.read("of the new one", { settled: true })
  about.describe("gone on", true)
}

const conversations = (
  name: string,
  talk: (about: Conversation) => void,
  version: 1 | 2 = 1
): ReadonlyArray<Conversation> =>
  (version === 1 ? rounds : roundsOfVersion2).map((round) => {
    const about = new Conversation(name, round, version)
    talk(about)
    return about
  })

const all = (): ReadonlyArray<Conversation> => [
  ...conversations("whole", (about) => {
    commits(about)
    aborts(about)
    endsAgain(about)
  }),
  ...conversations("wrong", wrongs),
  ...conversations("fence", fences),
  ...conversations(
    "whole of version 2",
    (about) => {
      commitsByVersion2(about)
      abortsByVersion2(about)
      endsAgainByVersion2(about)
    },
    2
  ),
  ...conversations("wrong of version 2", wrongsOfVersion2, 2),
  ...conversations("fence of version 2", fencesOfVersion2, 2)
]

// --- Without any conversation ---

const coordinators = (): ReadonlyArray<Case> => [
  ...every(FindCoordinator, [1, 3], "a transaction's", () => ({ key: "whole 0", keyType: 1 })),
  ...every(FindCoordinator, [4, 6], "transactions'", () => ({ keyType: 1, coordinatorKeys: ["whole 0", "another"] })),
  ...every(FindCoordinator, [1, 3], "of an empty transactional id", () => ({ key: "", keyType: 1 })),
  ...every(FindCoordinator, [4, 6], "of an empty transactional id", () => ({ keyType: 1, coordinatorKeys: [""] })),
  ...every(FindCoordinator, [4, 6], "of none", () => ({ keyType: 1, coordinatorKeys: [] }))
]

const initProducerIds = (): ReadonlyArray<Case> => {
  const asks: ReadonlyArray<readonly [string, string | null, number]> = [
    ["an empty transactional id", "", 60_000],
    ["no time", "init", 0],
    ["less than no time", "init", -1],
    ["an hour", "init", 3_600_000],
    ["more than an hour", "init", 3_600_001],
    ["no transactional id, and no time", null, 0],
    ["no transactional id, and less than no time", null, -5]
  ]
  const own = { transactionalId: null, transactionTimeoutMs: 60_000 }
  return [
    ...asks.flatMap(([what, transactionalId, transactionTimeoutMs]) =>
      every(InitProducerId, [0, 5], what, () => ({ transactionalId, transactionTimeoutMs }))
    ),
    ...every(InitProducerId, [3, 5], "an id and an epoch, no transactional id", () => ({
      ...own,
      producerId: 3,
      producerEpoch: 4
    })),
    ...every(InitProducerId, [3, 5], "an id and no epoch", () => ({ ...own, transactionalId: "init", producerId: 3 })),
    ...every(InitProducerId, [3, 5], "an epoch and no id", () => ({
      ...own,
      transactionalId: "init",
      producerEpoch: 3
    })),
    ...every(InitProducerId, [3, 5], "an id and an epoch of a transactional id that is none", () => ({
      ...own,
      transactionalId: "unheard-of",
      producerId: 3,
      producerEpoch: 4
    }))
  ]
}

const looks = (): ReadonlyArray<Case> => {
  const ids: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["no such id", ["nobody"]],
    ["an empty id", [""]],
    ["an id twice", ["whole 0", "whole 0"]],
    ["nothing", []]
  ]
  const partitions: ReadonlyArray<readonly [string, string, ReadonlyArray<number>]> = [
    ["of no topic", nowhere, [0]],
    ["of no partition", plain, [0, 77, -1]],
    ["of a name that is none", "a/b", [0]],
    ["of an empty name", "", [0]],
    ["of no partitions", plain, []],
    ["of a partition twice", plain, [1, 1]]
  ]
  const lists: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<number>]> = [
    ["of an id that is none", [], [987_654]],
    ["of a negative id", [], [-1]],
    ["of a state that is none", ["Sleeping"], []],
    ["of a state that is one and one that is none", ["Sleeping", "Ongoing"], []],
    ["of a state in other letters", ["ongoing"], []],
    ["that are open", ["Ongoing"], []],
    ["that are committed", ["CompleteCommit"], []],
    ["that are aborted", ["CompleteAbort"], []],
    ["in any state", [], []]
  ]
  return [
    ...ids.flatMap(([what, transactionalIds]) =>
      every(DescribeTransactions, [0, 0], what, () => ({ transactionalIds }))
    ),
    ...partitions.flatMap(([what, name, partitionIndexes]) =>
      every(DescribeProducers, [0, 0], what, () => ({ topics: [{ name, partitionIndexes }] }))
    ),
    ...lists.flatMap(([what, stateFilters, producerIdFilters]) =>
      every(ListTransactions, [0, 1], what, () => ({ stateFilters, producerIdFilters }))
    ),
    ...[0, 1, 3_600_000, -1, -7].flatMap((durationFilter) =>
      every(ListTransactions, [1, 1], `open for ${durationFilter} ms`, () => ({
        stateFilters: [],
        producerIdFilters: [],
        durationFilter
      }))
    )
  ]
}

const topicsOf = (about: ReadonlyArray<Conversation>) =>
  about.flatMap(({ topic, spare }) => [
    { name: topic, partitions: 3 },
    { name: spare, partitions: 1 }
  ])

const talks = all()

export const transactionsFamily: Family = {
  name: "transactions",
  topics: topicsOf(talks),
  cases: () => [...initProducerIds(), ...talks.flatMap(({ cases }) => cases), ...coordinators(), ...looks()]
}
