import * as K from "../Schema.ts"

/** WriteTxnMarkers 1-2 (KIP-98). `transactionResult`: true commits. v2: the version of the transaction (KIP-1228); 0: not told. */
export const WriteTxnMarkers = K.api(27, "WriteTxnMarkers", {
  versions: [1, 2],
  flexible: 1,
  request: {
    markers: K.array({
      producerId: K.int64,
      producerEpoch: K.int16,
      transactionResult: K.bool,
      topics: K.array({ name: K.string, partitionIndexes: K.array(K.int32) }),
      coordinatorEpoch: K.int32,
      transactionVersion: K.v("2+", K.int8, 0)
    })
  },
  response: {
    markers: K.array({
      producerId: K.int64,
      topics: K.array({
        name: K.string,
        partitions: K.array({ partitionIndex: K.int32, errorCode: K.int16 })
      })
    })
  }
})
