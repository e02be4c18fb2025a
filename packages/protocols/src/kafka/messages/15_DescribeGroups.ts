import * as K from "../Schema.ts"

/**
 * DescribeGroups 0-6. v3: authorized operations (KIP-430); v4: static members (KIP-345); v6: an error of its own for a group that
 * is not there, with a message (KIP-1043).
 */
export const DescribeGroups = K.api(15, "DescribeGroups", {
  versions: [0, 6],
  flexible: 5,
  request: {
    groups: K.array(K.string),
    includeAuthorizedOperations: K.v("3+", K.bool, false)
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    groups: K.array({
      errorCode: K.int16,
      errorMessage: K.v("6+", K.nullableString, null),
      groupId: K.string,
      groupState: K.string,
      protocolType: K.string,
      protocolData: K.string,
      members: K.array({
        memberId: K.string,
        groupInstanceId: K.v("4+", K.nullableString, null),
        clientId: K.string,
        clientHost: K.string,
        memberMetadata: K.bytes,
        memberAssignment: K.bytes
      }),
      authorizedOperations: K.v("3+", K.int32, -0x8000_0000)
    })
  }
})
