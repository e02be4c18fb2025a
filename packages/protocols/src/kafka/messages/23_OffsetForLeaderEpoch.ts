import * as K from "../Schema.ts"

/** OffsetForLeaderEpoch 2-4 (KIP-320). v3: the replica id, -2 for one that is not known. */
export const OffsetForLeaderEpoch = K.api(23, "OffsetForLeaderEpoch", {
  versions: [2, 4],
  flexible: 4,
  request: {
    replicaId: K.v("3+", K.int32, -2),
    topics: K.array({
      topic: K.string,
      partitions: K.array({
        partition: K.int32,
        currentLeaderEpoch: K.v("2+", K.int32, -1),
        leaderEpoch: K.int32
      })
    })
  },
  response: {
    throttleTimeMs: K.v("2+", K.int32, 0),
    topics: K.array({
      topic: K.string,
      partitions: K.array({
        errorCode: K.int16,
        partition: K.int32,
        leaderEpoch: K.v("1+", K.int32, -1),
        endOffset: K.v("0+", K.int64, -1)
      })
    })
  }
})
