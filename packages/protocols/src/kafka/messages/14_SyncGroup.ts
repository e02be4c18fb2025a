import * as K from "../Schema.ts"

/** SyncGroup 0-5. v3: static members (KIP-345); v5: protocol type and name, to be checked (KIP-559). */
export const SyncGroup = K.api(14, "SyncGroup", {
  versions: [0, 5],
  flexible: 4,
  request: {
    groupId: K.string,
    generationId: K.int32,
    memberId: K.string,
    groupInstanceId: K.v("3+", K.nullableString, null),
    protocolType: K.v("5+", K.nullableString, null),
    protocolName: K.v("5+", K.nullableString, null),
    assignments: K.array({ memberId: K.string, assignment: K.bytes })
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    errorCode: K.int16,
    protocolType: K.v("5+", K.nullableString, null),
    protocolName: K.v("5+", K.nullableString, null),
    assignment: K.bytes
  }
})
