import * as K from "../Schema.ts"

const cursor = K.v("0+", K.nullable(K.struct({ topicName: K.string, partitionIndex: K.int32 })), null)

/** DescribeTopicPartitions 0 (KIP-966): Metadata's topics, a page at a time. */
export const DescribeTopicPartitions = K.api(75, "DescribeTopicPartitions", {
  versions: [0, 0],
  flexible: 0,
  request: {
    topics: K.array({ name: K.string }),
    responsePartitionLimit: K.v("0+", K.int32, 2000),
    cursor
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    topics: K.array({
      errorCode: K.int16,
      name: K.nullableString,
      topicId: K.uuid,
      isInternal: K.v("0+", K.bool, false),
      partitions: K.array({
        errorCode: K.int16,
        partitionIndex: K.int32,
        leaderId: K.int32,
        leaderEpoch: K.v("0+", K.int32, -1),
        replicaNodes: K.array(K.int32),
        isrNodes: K.array(K.int32),
        eligibleLeaderReplicas: K.v("0+", K.nullable(K.array(K.int32)), null),
        lastKnownElr: K.v("0+", K.nullable(K.array(K.int32)), null),
        offlineReplicas: K.array(K.int32)
      }),
      topicAuthorizedOperations: K.v("0+", K.int32, -0x8000_0000)
    }),
    nextCursor: cursor
  }
})
