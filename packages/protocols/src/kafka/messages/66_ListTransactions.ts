import * as K from "../Schema.ts"

/** ListTransactions 0-2 (KIP-664). v1: open for so long (KIP-994); v2: a pattern of their ids (KIP-1152). */
export const ListTransactions = K.api(66, "ListTransactions", {
  versions: [0, 2],
  flexible: 0,
  request: {
    stateFilters: K.array(K.string),
    producerIdFilters: K.array(K.int64),
    durationFilter: K.v("1+", K.int64, -1),
    transactionalIdPattern: K.v("2+", K.nullableString, null)
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.int16,
    unknownStateFilters: K.v("0+", K.array(K.string), []),
    transactionStates: K.array({
      transactionalId: K.string,
      producerId: K.int64,
      transactionState: K.string
    })
  }
})
