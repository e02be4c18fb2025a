import * as K from "../Schema.ts"

/** ListPartitionReassignments 0 (KIP-455). */
export const ListPartitionReassignments = K.api(46, "ListPartitionReassignments", {
  versions: [0, 0],
  flexible: 0,
  request: {
    timeoutMs: K.v("0+", K.int32, 60_000),
    topics: K.v("0+", K.nullableArray({ name: K.string, partitionIndexes: K.array(K.int32) }), null)
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.int16,
    errorMessage: K.nullableString,
    topics: K.array({
      name: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        replicas: K.array(K.int32),
        addingReplicas: K.array(K.int32),
        removingReplicas: K.array(K.int32)
      })
    })
  }
})
