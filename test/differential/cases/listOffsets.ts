import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { type Ask, type Case, every, type Family } from "../Case.ts"
import { beganMs, nowhere, plain } from "../fixtures.ts"

export const listAsk =
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

export const listOffsetsFamily: Family = { name: "listOffsets", topics: [], cases: listOffsets }
