import * as K from "../Schema.ts"

/**
 * ListOffsets 1-11. v1: one offset for a timestamp (KIP-79); v2: isolation levels; v4: leader epochs (KIP-320); v7: -3, the
 * largest timestamp (KIP-734); v8: -4, the local log start (KIP-405); v9: -5, the tiered end (KIP-1005);
 * v10: a timeout, for what is looked up in tiered storage (KIP-1075); v11: -6, the first offset that is not there (KIP-1023).
 */
export const ListOffsets = K.api(2, "ListOffsets", {
  versions: [1, 11],
  flexible: 6,
  request: {
    replicaId: K.int32,
    isolationLevel: K.v("2+", K.int8, 0),
    topics: K.array({
      name: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        currentLeaderEpoch: K.v("4+", K.int32, -1),
        timestamp: K.int64
      })
    }),
    timeoutMs: K.v("10+", K.int32, 0)
  },
  response: {
    throttleTimeMs: K.v("2+", K.int32, 0),
    topics: K.array({
      name: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        errorCode: K.int16,
        timestamp: K.v("1+", K.int64, -1),
        offset: K.v("1+", K.int64, -1),
        leaderEpoch: K.v("4+", K.int32, -1)
      })
    })
  }
})
