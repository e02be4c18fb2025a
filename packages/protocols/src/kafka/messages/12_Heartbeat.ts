import * as K from "../Schema.ts"

/** Heartbeat 0-4. v1: throttle time; v3: static members (KIP-345). */
export const Heartbeat = K.api(12, "Heartbeat", {
  versions: [0, 4],
  flexible: 4,
  request: {
    groupId: K.string,
    generationId: K.int32,
    memberId: K.string,
    groupInstanceId: K.v("3+", K.nullableString, null)
  },
  response: { throttleTimeMs: K.v("1+", K.int32, 0), errorCode: K.int16 }
})
