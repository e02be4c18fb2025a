import * as K from "../Schema.ts"

/**
 * CreateTopics 2-7. v4: -1 partitions or replicas means the default (KIP-464); v5: the topic's configuration is answered
 * (KIP-525); v7: topic ids (KIP-516).
 */
export const CreateTopics = K.api(19, "CreateTopics", {
  versions: [2, 7],
  flexible: 5,
  request: {
    topics: K.array({
      name: K.string,
      numPartitions: K.int32,
      replicationFactor: K.int16,
      assignments: K.array({ partitionIndex: K.int32, brokerIds: K.array(K.int32) }),
      configs: K.array({ name: K.string, value: K.nullableString })
    }),
    timeoutMs: K.v("0+", K.int32, 60_000),
    validateOnly: K.v("1+", K.bool, false)
  },
  response: {
    throttleTimeMs: K.v("2+", K.int32, 0),
    topics: K.array({
      name: K.string,
      topicId: K.v("7+", K.uuid, K.zeroUuid),
      errorCode: K.int16,
      errorMessage: K.nullableString,
      topicConfigErrorCode: K.tagged(0, "5+", K.int16, 0),
      numPartitions: K.v("5+", K.int32, -1),
      replicationFactor: K.v("5+", K.int16, -1),
      configs: K.v(
        "5+",
        K.nullableArray({
          name: K.string,
          value: K.nullableString,
          readOnly: K.bool,
          configSource: K.v("5+", K.int8, -1),
          isSensitive: K.bool
        }),
        []
      )
    })
  }
})
