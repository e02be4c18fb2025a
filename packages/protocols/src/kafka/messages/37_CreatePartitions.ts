import * as K from "../Schema.ts"

/** CreatePartitions 0-3 (KIP-195). */
export const CreatePartitions = K.api(37, "CreatePartitions", {
  versions: [0, 3],
  flexible: 2,
  request: {
    topics: K.array({
      name: K.string,
      count: K.int32,
      assignments: K.nullableArray({ brokerIds: K.array(K.int32) })
    }),
    timeoutMs: K.int32,
    validateOnly: K.bool
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    results: K.array({
      name: K.string,
      errorCode: K.int16,
      errorMessage: K.v("0+", K.nullableString, null)
    })
  }
})
