import * as K from "../Schema.ts"

/** AlterPartitionReassignments 0-1 (KIP-455). v1: whether the number of replicas may change (KIP-860). */
export const AlterPartitionReassignments = K.api(45, "AlterPartitionReassignments", {
  versions: [0, 1],
  flexible: 0,
  request: {
    timeoutMs: K.v("0+", K.int32, 60_000),
    allowReplicationFactorChange: K.v("1+", K.bool, true),
    topics: K.array({
      name: K.string,
      partitions: K.array({
        partitionIndex: K.int32,
        replicas: K.v("0+", K.nullable(K.array(K.int32)), null)
      })
    })
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    allowReplicationFactorChange: K.v("1+", K.bool, true),
    errorCode: K.int16,
    errorMessage: K.nullableString,
    responses: K.array({
      name: K.string,
      partitions: K.array({ partitionIndex: K.int32, errorCode: K.int16, errorMessage: K.nullableString })
    })
  }
})
