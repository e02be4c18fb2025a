import * as K from "../Schema.ts"

/** DeleteRecords 0-2. v2: flexible. */
export const DeleteRecords = K.api(21, "DeleteRecords", {
  versions: [0, 2],
  flexible: 2,
  request: {
    topics: K.array({
      name: K.string,
      partitions: K.array({ partitionIndex: K.int32, offset: K.int64 })
    }),
    timeoutMs: K.int32
  },
  response: {
    throttleTimeMs: K.int32,
    topics: K.array({
      name: K.string,
      partitions: K.array({ partitionIndex: K.int32, lowWatermark: K.int64, errorCode: K.int16 })
    })
  }
})
