import * as K from "../Schema.ts"

/** LeaveGroup 0-5. v3: several members at once, static ones by instance id (KIP-345); v5: reasons (KIP-800). */
export const LeaveGroup = K.api(13, "LeaveGroup", {
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: K.string,
    memberId: K.v("0-2", K.string, ""),
    members: K.v(
      "3+",
      K.array({
        memberId: K.string,
        groupInstanceId: K.v("3+", K.nullableString, null),
        reason: K.v("5+", K.nullableString, null)
      }),
      []
    )
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    errorCode: K.int16,
    members: K.v("3+", K.array({ memberId: K.string, groupInstanceId: K.nullableString, errorCode: K.int16 }), [])
  }
})
