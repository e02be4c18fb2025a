import * as K from "../Schema.ts"

/**
 * Metadata 0-13. v0: no topics means all; v1: null means all; v4: auto-creation is the client's choice; v5: offline
 * replicas; v7: leader epochs (KIP-320); v8: authorized operations (KIP-430), of the cluster until v10 (KIP-700); v10:
 * topic ids (KIP-516); v12: requests by topic id with a null name; v13: an error for the whole response (KIP-1102).
 */
export const Metadata = K.api(3, "Metadata", {
  versions: [0, 13],
  flexible: 9,
  request: {
    topics: K.nullableArray({ topicId: K.v("10+", K.uuid, K.zeroUuid), name: K.nullable(K.string, "10+") }, "1+"),
    allowAutoTopicCreation: K.v("4+", K.bool, true),
    includeClusterAuthorizedOperations: K.v("8-10", K.bool, false),
    includeTopicAuthorizedOperations: K.v("8+", K.bool, false)
  },
  response: {
    throttleTimeMs: K.v("3+", K.int32, 0),
    brokers: K.array({
      nodeId: K.int32,
      host: K.string,
      port: K.int32,
      rack: K.v("1+", K.nullableString, null)
    }),
    clusterId: K.v("2+", K.nullableString, null),
    controllerId: K.v("1+", K.int32, -1),
    topics: K.array({
      errorCode: K.int16,
      name: K.nullable(K.string, "12+"),
      topicId: K.v("10+", K.uuid, K.zeroUuid),
      isInternal: K.v("1+", K.bool, false),
      partitions: K.array({
        errorCode: K.int16,
        partitionIndex: K.int32,
        leaderId: K.int32,
        leaderEpoch: K.v("7+", K.int32, -1),
        replicaNodes: K.array(K.int32),
        isrNodes: K.array(K.int32),
        offlineReplicas: K.v("5+", K.array(K.int32), [])
      }),
      topicAuthorizedOperations: K.v("8+", K.int32, -0x8000_0000)
    }),
    clusterAuthorizedOperations: K.v("8-10", K.int32, -0x8000_0000),
    errorCode: K.v("13+", K.int16, 0)
  }
})
