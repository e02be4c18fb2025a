import * as K from "../Schema.ts"

/**
 * OffsetCommit 2-10. v5: no retention time (KIP-211); v6: leader epochs (KIP-320); v7: static members (KIP-345); v9: the
 * generation may be the member epoch of a KIP-848 group; v10: topic ids for names.
 */
export const OffsetCommit = K.api(8, "OffsetCommit", {
  versions: [2, 10],
  flexible: 8,
  request: {
    groupId: K.string,
    generationIdOrMemberEpoch: K.v("1+", K.int32, -1),
    memberId: K.v("1+", K.string, ""),
    groupInstanceId: K.v("7+", K.nullableString, null),
    retentionTimeMs: K.v("2-4", K.int64, -1),
    topics: K.array({
      name: K.v("0-9", K.string, ""),
      topicId: K.v("10+", K.uuid, K.zeroUuid),
      partitions: K.array({
        partitionIndex: K.int32,
        committedOffset: K.int64,
        committedLeaderEpoch: K.v("6+", K.int32, -1),
        committedMetadata: K.nullableString
      })
    })
  },
  response: {
    throttleTimeMs: K.v("3+", K.int32, 0),
    topics: K.array({
      name: K.v("0-9", K.string, ""),
      topicId: K.v("10+", K.uuid, K.zeroUuid),
      partitions: K.array({ partitionIndex: K.int32, errorCode: K.int16 })
    })
  }
})
