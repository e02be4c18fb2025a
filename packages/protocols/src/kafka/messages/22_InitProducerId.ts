import * as K from "../Schema.ts"

/** InitProducerId 0-5. v3: a producer asks for the next epoch of its own id (KIP-360); v4: PRODUCER_FENCED; v5: KIP-890. */
export const InitProducerId = K.api(22, "InitProducerId", {
  versions: [0, 5],
  flexible: 2,
  request: {
    transactionalId: K.nullableString,
    transactionTimeoutMs: K.int32,
    producerId: K.v("3+", K.int64, -1),
    producerEpoch: K.v("3+", K.int16, -1)
  },
  response: {
    throttleTimeMs: K.int32,
    errorCode: K.int16,
    producerId: K.v("0+", K.int64, -1),
    producerEpoch: K.int16
  }
})
