import * as K from "../Schema.ts"

/** AddPartitionsToTxn 0-3 (KIP-98). v2: PRODUCER_FENCED. Brokers send v4 and later to one another. */
export const AddPartitionsToTxn = K.api(24, "AddPartitionsToTxn", {
  versions: [0, 3],
  flexible: 3,
  request: {
    v3AndBelowTransactionalId: K.string,
    v3AndBelowProducerId: K.int64,
    v3AndBelowProducerEpoch: K.int16,
    v3AndBelowTopics: K.array({ name: K.string, partitions: K.array(K.int32) })
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    resultsByTopicV3AndBelow: K.array({
      name: K.string,
      resultsByPartition: K.array({ partitionIndex: K.int32, partitionErrorCode: K.int16 })
    })
  }
})
