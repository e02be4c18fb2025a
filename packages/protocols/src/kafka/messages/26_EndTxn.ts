import * as K from "../Schema.ts"

/** EndTxn 0-5 (KIP-98). v2: PRODUCER_FENCED; v4: TRANSACTION_ABORTABLE; v5: the next epoch in the answer (KIP-890). */
export const EndTxn = K.api(26, "EndTxn", {
  versions: [0, 5],
  flexible: 3,
  request: {
    transactionalId: K.string,
    producerId: K.int64,
    producerEpoch: K.int16,
    committed: K.bool
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.int16,
    producerId: K.v("5+", K.int64, -1),
    producerEpoch: K.v("5+", K.int16, -1)
  }
})
