import * as K from "../Schema.ts"

/**
 * Fetch 4-18. v4: isolation levels; v5: log start offset; v7: sessions (KIP-227); v9: leader epochs (KIP-320); v11:
 * fetching from the closest replica (KIP-392); v12: diverging epochs; v13: topic ids for names (KIP-516); v15: replica
 * state as a tagged field (KIP-903); v16: endpoints of new leaders (KIP-951); v17: directory ids (KIP-853); v18: the high
 * watermark that a replica knows (KIP-1166).
 */
export const Fetch = K.api(1, "Fetch", {
  versions: [4, 18],
  flexible: 12,
  request: {
    clusterId: K.tagged(0, "12+", K.nullableString, null),
    replicaId: K.v("0-14", K.int32, -1),
    replicaState: K.tagged(
      1,
      "15+",
      K.struct({ replicaId: K.v("15+", K.int32, -1), replicaEpoch: K.v("15+", K.int64, -1) }),
      { replicaId: -1, replicaEpoch: -1 }
    ),
    maxWaitMs: K.int32,
    minBytes: K.int32,
    maxBytes: K.v("3+", K.int32, 0x7fffffff),
    isolationLevel: K.v("4+", K.int8, 0),
    sessionId: K.v("7+", K.int32, 0),
    sessionEpoch: K.v("7+", K.int32, -1),
    topics: K.array({
      topic: K.v("0-12", K.string, ""),
      topicId: K.v("13+", K.uuid, K.zeroUuid),
      partitions: K.array({
        partition: K.int32,
        currentLeaderEpoch: K.v("9+", K.int32, -1),
        fetchOffset: K.int64,
        lastFetchedEpoch: K.v("12+", K.int32, -1),
        logStartOffset: K.v("5+", K.int64, -1),
        partitionMaxBytes: K.int32,
        replicaDirectoryId: K.tagged(0, "17+", K.uuid, K.zeroUuid),
        highWatermark: K.tagged(1, "18+", K.int64, Number.MAX_SAFE_INTEGER)
      })
    }),
    forgottenTopicsData: K.v(
      "7+",
      K.array({
        topic: K.v("7-12", K.string, ""),
        topicId: K.v("13+", K.uuid, K.zeroUuid),
        partitions: K.array(K.int32)
      }),
      []
    ),
    rackId: K.v("11+", K.string, "")
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    errorCode: K.v("7+", K.int16, 0),
    sessionId: K.v("7+", K.int32, 0),
    responses: K.array({
      topic: K.v("0-12", K.string, ""),
      topicId: K.v("13+", K.uuid, K.zeroUuid),
      partitions: K.array({
        partitionIndex: K.int32,
        errorCode: K.int16,
        highWatermark: K.int64,
        lastStableOffset: K.v("4+", K.int64, -1),
        logStartOffset: K.v("5+", K.int64, -1),
        divergingEpoch: K.tagged(
          0,
          "12+",
          K.struct({ epoch: K.v("12+", K.int32, -1), endOffset: K.v("12+", K.int64, -1) }),
          { epoch: -1, endOffset: -1 }
        ),
        currentLeader: K.tagged(
          1,
          "12+",
          K.struct({ leaderId: K.v("12+", K.int32, -1), leaderEpoch: K.v("12+", K.int32, -1) }),
          { leaderId: -1, leaderEpoch: -1 }
        ),
        snapshotId: K.tagged(2, "12+", K.struct({ endOffset: K.v("0+", K.int64, -1), epoch: K.v("0+", K.int32, -1) }), {
          endOffset: -1,
          epoch: -1
        }),
        abortedTransactions: K.nullableArray({ producerId: K.int64, firstOffset: K.int64 }),
        preferredReadReplica: K.v("11+", K.int32, -1),
        records: K.records
      })
    }),
    nodeEndpoints: K.tagged(
      0,
      "16+",
      K.array({ nodeId: K.int32, host: K.string, port: K.int32, rack: K.v("16+", K.nullableString, null) }),
      []
    )
  }
})
