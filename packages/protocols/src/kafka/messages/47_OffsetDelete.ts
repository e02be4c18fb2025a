import * as K from "../Schema.ts"

/** OffsetDelete 0 (KIP-496). */
export const OffsetDelete = K.api(47, "OffsetDelete", {
  versions: [0, 0],
  flexible: "never",
  request: {
    groupId: K.string,
    topics: K.array({ name: K.string, partitions: K.array({ partitionIndex: K.int32 }) })
  },
  response: {
    errorCode: K.int16,
    throttleTimeMs: K.v("0+", K.int32, 0),
    topics: K.array({ name: K.string, partitions: K.array({ partitionIndex: K.int32, errorCode: K.int16 }) })
  }
})
