import * as K from "../Schema.ts"

/** DeleteGroups 0-2 (KIP-229). */
export const DeleteGroups = K.api(42, "DeleteGroups", {
  versions: [0, 2],
  flexible: 2,
  request: { groupsNames: K.array(K.string) },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    results: K.array({ groupId: K.string, errorCode: K.int16 })
  }
})
