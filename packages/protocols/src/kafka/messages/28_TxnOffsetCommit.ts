import * as K from "../Schema.ts"

/**
 * TxnOffsetCommit 0-5 (KIP-98). v2: leader epochs (KIP-320); v3: member and generation (KIP-447); v4: TRANSACTION_ABORTABLE; v5: the group is
 * added to the transaction by this request (KIP-890).
 */
export const TxnOffsetCommit = K.api(28, "TxnOffsetCommit", {
  versions: [0, 5],
  flexible: 3,
  request: {
    transactionalId: K.string,
    groupId: K.string,
    producerId: K.int64,
    producerEpoch: K.int16,
    generationId: K.v("3+", K.int32, -1),
    memberId: K.v("3+", K.string, ""),
    groupInstanceId: K.v("3+", K.nullableString, null),
    topics: K.array({
      name: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        committedOffset: K.int64,
        committedLeaderEpoch: K.v("2+", K.int32, -1),
        committedMetadata: K.nullableString
      })
    })
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    topics: K.array({
      name: K.string,
      partitions: K.array({ partitionIndex: K.int32, errorCode: K.int16 })
    })
  }
})
