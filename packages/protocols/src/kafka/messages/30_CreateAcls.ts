import * as K from "../Schema.ts"

/** CreateAcls 1-3 (KIP-140). v1: pattern types (KIP-290). */
export const CreateAcls = K.api(30, "CreateAcls", {
  versions: [1, 3],
  flexible: 2,
  request: {
    creations: K.array({
      resourceType: K.int8,
      resourceName: K.string,
      resourcePatternType: K.v("1+", K.int8, 3),
      principal: K.string,
      host: K.string,
      operation: K.int8,
      permissionType: K.int8
    })
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    results: K.array({ errorCode: K.int16, errorMessage: K.nullableString })
  }
})
