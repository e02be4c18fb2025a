import * as K from "../Schema.ts"

/** DescribeProducers 0 (KIP-664). */
export const DescribeProducers = K.api(61, "DescribeProducers", {
  versions: [0, 0],
  flexible: 0,
  request: { topics: K.array({ name: K.string, partitionIndexes: K.array(K.int32) }) },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    topics: K.array({
      name: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        errorCode: K.int16,
        errorMessage: K.v("0+", K.nullableString, null),
        activeProducers: K.array({
          producerId: K.int64,
          producerEpoch: K.int32,
          lastSequence: K.v("0+", K.int32, -1),
          lastTimestamp: K.v("0+", K.int64, -1),
          coordinatorEpoch: K.int32,
          currentTxnStartOffset: K.v("0+", K.int64, -1)
        })
      })
    })
  }
})
