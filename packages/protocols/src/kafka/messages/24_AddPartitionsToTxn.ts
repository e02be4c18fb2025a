import * as K from "../Schema.ts"

const topics = K.array({ name: K.string, partitions: K.array(K.int32) })

const topicResults = K.array({
  name: K.string,
  resultsByPartition: K.array({ partitionIndex: K.int32, partitionErrorCode: K.int16 })
})

/**
 * AddPartitionsToTxn 0-5 (KIP-98). v2: PRODUCER_FENCED. v4: of brokers, for several transactions, and `verifyOnly` adds nothing (KIP-890).
 * v5: TRANSACTION_ABORTABLE.
 */
export const AddPartitionsToTxn = K.api(24, "AddPartitionsToTxn", {
  versions: [0, 5],
  flexible: 3,
  request: {
    transactions: K.v(
      "4+",
      K.array({
        transactionalId: K.string,
        producerId: K.int64,
        producerEpoch: K.int16,
        verifyOnly: K.bool,
        topics
      }),
      []
    ),
    v3AndBelowTransactionalId: K.v("0-3", K.string, ""),
    v3AndBelowProducerId: K.v("0-3", K.int64, 0),
    v3AndBelowProducerEpoch: K.v("0-3", K.int16, 0),
    v3AndBelowTopics: K.v("0-3", topics, [])
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.v("4+", K.int16, 0),
    resultsByTransaction: K.v("4+", K.array({ transactionalId: K.string, topicResults }), []),
    resultsByTopicV3AndBelow: K.v("0-3", topicResults, [])
  }
})
