import * as K from "../Schema.ts"

/** DeleteAcls 1-3 (KIP-140). v1: pattern types (KIP-290). Null matches any. */
export const DeleteAcls = K.api(31, "DeleteAcls", {
  versions: [1, 3],
  flexible: 2,
  request: {
    filters: K.array({
      resourceTypeFilter: K.int8,
      resourceNameFilter: K.nullableString,
      patternTypeFilter: K.v("1+", K.int8, 3),
      principalFilter: K.nullableString,
      hostFilter: K.nullableString,
      operation: K.int8,
      permissionType: K.int8
    })
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    filterResults: K.array({
      errorCode: K.int16,
      errorMessage: K.nullableString,
      matchingAcls: K.array({
        errorCode: K.int16,
        errorMessage: K.nullableString,
        resourceType: K.int8,
        resourceName: K.string,
        patternType: K.v("1+", K.int8, 3),
        principal: K.string,
        host: K.string,
        operation: K.int8,
        permissionType: K.int8
      })
    })
  }
})
