import * as K from "../Schema.ts"

/** DescribeTransactions 0 (KIP-664). */
export const DescribeTransactions = K.api(65, "DescribeTransactions", {
  versions: [0, 0],
  flexible: 0,
  request: { transactionalIds: K.array(K.string) },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    transactionStates: K.array({
      errorCode: K.int16,
      transactionalId: K.string,
      transactionState: K.string,
      transactionTimeoutMs: K.int32,
      transactionStartTimeMs: K.int64,
      producerId: K.int64,
      producerEpoch: K.int16,
      topics: K.array({ topic: K.string, partitions: K.array(K.int32) })
    })
  }
})
