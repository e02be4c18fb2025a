import * as K from "../Schema.ts"

/**
 * Produce 3-13. v3: transactional ids; v8: errors by record (KIP-467); v10: the current leader and its endpoint
 * (KIP-951); v12: the same on the wire, for transactions v2 (KIP-890); v13: topic ids for names (KIP-516). With acks 0
 * there is no response.
 */
export const Produce = K.api(0, "Produce", {
  versions: [3, 13],
  flexible: 9,
  request: {
    transactionalId: K.v("3+", K.nullableString, null),
    acks: K.int16,
    timeoutMs: K.int32,
    topicData: K.array({
      name: K.v("0-12", K.string, ""),
      topicId: K.v("13+", K.uuid, K.zeroUuid),
      partitionData: K.array({ index: K.int32, records: K.records })
    })
  },
  response: {
    responses: K.array({
      name: K.v("0-12", K.string, ""),
      topicId: K.v("13+", K.uuid, K.zeroUuid),
      partitionResponses: K.array({
        index: K.int32,
        errorCode: K.int16,
        baseOffset: K.int64,
        logAppendTimeMs: K.v("2+", K.int64, -1),
        logStartOffset: K.v("5+", K.int64, -1),
        recordErrors: K.v(
          "8+",
          K.array({ batchIndex: K.int32, batchIndexErrorMessage: K.v("8+", K.nullableString, null) }),
          []
        ),
        errorMessage: K.v("8+", K.nullableString, null),
        currentLeader: K.tagged(
          0,
          "10+",
          K.struct({ leaderId: K.v("10+", K.int32, -1), leaderEpoch: K.v("10+", K.int32, -1) }),
          { leaderId: -1, leaderEpoch: -1 }
        )
      })
    }),
    throttleTimeMs: K.v("1+", K.int32, 0),
    nodeEndpoints: K.tagged(
      0,
      "10+",
      K.array({ nodeId: K.int32, host: K.string, port: K.int32, rack: K.v("10+", K.nullableString, null) }),
      []
    )
  }
})
