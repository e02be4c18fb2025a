import * as K from "../Schema.ts"

const replicas = K.array({
  replicaId: K.int32,
  replicaDirectoryId: K.v("2+", K.uuid, K.zeroUuid),
  logEndOffset: K.int64,
  lastFetchTimestamp: K.v("1+", K.int64, -1),
  lastCaughtUpTimestamp: K.v("1+", K.int64, -1)
})

/** DescribeQuorum 0-2 (KIP-595). v1: when each replica has fetched (KIP-836); v2: directories and listeners (KIP-853). */
export const DescribeQuorum = K.api(55, "DescribeQuorum", {
  versions: [0, 2],
  flexible: 0,
  request: {
    topics: K.array({ topicName: K.string, partitions: K.array({ partitionIndex: K.int32 }) })
  },
  response: {
    errorCode: K.int16,
    errorMessage: K.v("2+", K.nullableString, ""),
    topics: K.array({
      topicName: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        errorCode: K.int16,
        errorMessage: K.v("2+", K.nullableString, ""),
        leaderId: K.int32,
        leaderEpoch: K.int32,
        highWatermark: K.int64,
        currentVoters: replicas,
        observers: replicas
      })
    }),
    nodes: K.v(
      "2+",
      K.array({
        nodeId: K.int32,
        listeners: K.array({ name: K.string, host: K.string, port: K.uint16 })
      }),
      []
    )
  }
})
