import * as K from "../Schema.ts"

/** ElectLeaders 0-2 (KIP-183). v1: unclean elections, and an error for the whole (KIP-460). */
export const ElectLeaders = K.api(43, "ElectLeaders", {
  versions: [0, 2],
  flexible: 2,
  request: {
    electionType: K.v("1+", K.int8, 0),
    topicPartitions: K.nullableArray({ topic: K.string, partitions: K.array(K.int32) }),
    timeoutMs: K.v("0+", K.int32, 60_000)
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.v("1+", K.int16, 0),
    replicaElectionResults: K.array({
      topic: K.string,
      partitionResult: K.array({ partitionId: K.int32, errorCode: K.int16, errorMessage: K.nullableString })
    })
  }
})
