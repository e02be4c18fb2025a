import * as K from "../Schema.ts"

/**
 * JoinGroup 0-9. v1: rebalance timeout; v4: MEMBER_ID_REQUIRED (KIP-394); v5: static members (KIP-345); v7: the protocol
 * type is answered (KIP-559); v8: reasons (KIP-800); v9: a leader may skip the assignment (KIP-814).
 */
export const JoinGroup = K.api(11, "JoinGroup", {
  versions: [0, 9],
  flexible: 6,
  request: {
    groupId: K.string,
    sessionTimeoutMs: K.int32,
    rebalanceTimeoutMs: K.v("1+", K.int32, -1),
    memberId: K.string,
    groupInstanceId: K.v("5+", K.nullableString, null),
    protocolType: K.string,
    protocols: K.array({ name: K.string, metadata: K.bytes }),
    reason: K.v("8+", K.nullableString, null)
  },
  response: {
    throttleTimeMs: K.v("2+", K.int32, 0),
    errorCode: K.int16,
    generationId: K.v("0+", K.int32, -1),
    protocolType: K.v("7+", K.nullableString, null),
    protocolName: K.nullable(K.string, "7+"),
    leader: K.string,
    skipAssignment: K.v("9+", K.bool, false),
    memberId: K.string,
    members: K.array({
      memberId: K.string,
      groupInstanceId: K.v("5+", K.nullableString, null),
      metadata: K.bytes
    })
  }
})
