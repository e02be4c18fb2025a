import * as K from "../Schema.ts"

/** AddOffsetsToTxn 0-4 (KIP-98). v2: PRODUCER_FENCED; v4: KIP-890. */
export const AddOffsetsToTxn = K.api(25, "AddOffsetsToTxn", {
  versions: [0, 4],
  flexible: 3,
  request: {
    transactionalId: K.string,
    producerId: K.int64,
    producerEpoch: K.int16,
    groupId: K.string
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.int16
  }
})
