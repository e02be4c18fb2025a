import * as K from "../Schema.ts"

/**
 * OffsetFetch 1-10. v2: null topics means all; v5: leader epochs (KIP-320); v7: stable offsets on demand (KIP-447); v8:
 * several groups in one request (KIP-709), in fields of their own; v9: members of KIP-848 groups; v10: topic ids
 * for names.
 */
export const OffsetFetch = K.api(9, "OffsetFetch", {
  versions: [1, 10],
  flexible: 6,
  request: {
    groupId: K.v("0-7", K.string, ""),
    topics: K.v("0-7", K.nullableArray({ name: K.string, partitionIndexes: K.array(K.int32) }, "2-7"), []),
    groups: K.v(
      "8+",
      K.array({
        groupId: K.string,
        memberId: K.v("9+", K.nullableString, null),
        memberEpoch: K.v("9+", K.int32, -1),
        topics: K.nullableArray({
          name: K.v("8-9", K.string, ""),
          topicId: K.v("10+", K.uuid, K.zeroUuid),
          partitionIndexes: K.array(K.int32)
        })
      }),
      []
    ),
    requireStable: K.v("7+", K.bool, false)
  },
  response: {
    throttleTimeMs: K.v("3+", K.int32, 0),
    topics: K.v(
      "0-7",
      K.array({
        name: K.string,
        partitions: K.array({
          partitionIndex: K.int32,
          committedOffset: K.int64,
          committedLeaderEpoch: K.v("5-7", K.int32, -1),
          metadata: K.nullableString,
          errorCode: K.int16
        })
      }),
      []
    ),
    errorCode: K.v("2-7", K.int16, 0),
    groups: K.v(
      "8+",
      K.array({
        groupId: K.string,
        topics: K.array({
          name: K.v("8-9", K.string, ""),
          topicId: K.v("10+", K.uuid, K.zeroUuid),
          partitions: K.array({
            partitionIndex: K.int32,
            committedOffset: K.int64,
            committedLeaderEpoch: K.v("8+", K.int32, -1),
            metadata: K.nullableString,
            errorCode: K.int16
          })
        }),
        errorCode: K.v("8+", K.int16, 0)
      }),
      []
    )
  }
})
