import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { WriteTxnMarkers } from "@logbrook/protocols/kafka/messages/27_WriteTxnMarkers"
import { type Family, versionsOf } from "../Case.ts"
import { nowhere } from "../fixtures.ts"
import { Conversation, type Of } from "./Conversation.ts"

// As brokers ask one another about transactions, and administrators in their place.

type Partitions = ReadonlyArray<readonly [string, ReadonlyArray<number>]>

interface Transaction extends Of {
  readonly verifyOnly?: boolean
  readonly partitions: Partitions
}

const add = (about: Conversation, what: string, all: ReadonlyArray<Transaction>): void =>
  about.ask(
    AddPartitionsToTxn,
    [4, 5],
    what,
    (side) => ({
      transactions: all.map(({ verifyOnly = false, partitions, ...of }) => ({
        ...about.producer(side, of),
        verifyOnly,
        topics: partitions.map(([name, own]) => ({ name, partitions: own }))
      }))
    }),
    {
      until: ({ resultsByTransaction }) =>
        !resultsByTransaction.some(({ topicResults }) =>
          topicResults.some(({ resultsByPartition }) =>
            resultsByPartition.some(
              ({ partitionErrorCode }) => partitionErrorCode === KafkaError.CONCURRENT_TRANSACTIONS
            )
          )
        )
    }
  )

interface Marker extends Of {
  readonly committed?: boolean
  readonly coordinatorEpoch?: number
}

const mark = (about: Conversation, what: string, partitions: Partitions, of: Marker = {}): void =>
  about.ask(WriteTxnMarkers, [1, 2], what, (side) => {
    const { producerId, producerEpoch } = about.producer(side, of)
    const topics = partitions.map(([name, partitionIndexes]) => ({ name, partitionIndexes }))
    const { committed: transactionResult = false, coordinatorEpoch = 0 } = of
    return { markers: [{ producerId, producerEpoch, transactionResult, topics, coordinatorEpoch }] }
  })

const adds = (about: Conversation): void => {
  const own: Partitions = [[about.topic, [0]]]
  about.init("begins")
  add(about, "verifies what is not there", [{ verifyOnly: true, partitions: own }])
  add(about, "adds", [{ partitions: own }])
  add(about, "adds again", [{ partitions: own }])
  add(about, "verifies", [{ verifyOnly: true, partitions: own }])
  add(about, "verifies one that is in and one that is not", [{ verifyOnly: true, partitions: [[about.topic, [0, 1]]] }])
  add(about, "adds no such topic", [{ partitions: [[nowhere, [0]]] }])
  add(about, "adds no such partition", [{ partitions: [[about.topic, [1, 77]]] }])
  add(about, "adds nothing", [{ partitions: [] }])
  add(about, "of an epoch to come", [{ partitions: own, epoch: 1 }])
  add(about, "of an id of nobody", [{ partitions: own, producerId: 987_654 }])
  add(about, "of a transactional id of nobody", [{ partitions: own, id: "nobody" }])
  add(about, "of an empty transactional id", [{ partitions: own, id: "" }])
  add(about, "of two at once", [{ partitions: own }, { partitions: own, id: "nobody" }])
  add(about, "of none", [])
  about.describe("open")
  about.end("aborts", false)
  about.describe("aborted", true)
}

const marks = (about: Conversation): void => {
  const own: Partitions = [[about.topic, [0]]]
  about.init("begins")
  about.addPartitions("two partitions", [[about.topic, [0, 1]]])
  about.produce("a batch")
  about.produce("to the other partition", { partition: 1 })
  mark(about, "of no topic", [[nowhere, [0]]])
  mark(about, "of no partition", [[about.topic, [77]]])
  mark(about, "of no partitions", [])
  mark(about, "of an epoch before", own, { epoch: -1 })
  about.read("before it is marked")
  mark(about, "aborts one partition", own)
  about.read("marked", { settled: true })
  about.read("of the other partition", { partition: 1 })
  about.describe("marked")
  mark(about, "aborts it again", own)
  mark(about, "commits one where nothing is open", [[about.topic, [2]]], { committed: true })
  about.ask(WriteTxnMarkers, [1, 2], "nothing", () => ({ markers: [] }))
  about.end("aborts", false)
  about.read("of the other partition when it has ended", { partition: 1, settled: true })
  about.describe("ended", true)
}

const talks = versionsOf([0, 1]).flatMap((round) =>
  ([["broker", adds] as const, ["marked", marks] as const] as const).map(([name, talk]) => {
    const about = new Conversation(name, round, 1)
    talk(about)
    return about
  })
)

export const brokersFamily: Family = {
  name: "brokers",
  topics: talks.map(({ topic }) => ({ name: topic, partitions: 3 })),
  cases: () => talks.flatMap(({ cases }) => cases)
}
