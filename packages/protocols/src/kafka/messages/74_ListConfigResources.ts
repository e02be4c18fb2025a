import * as K from "../Schema.ts"

/** ListConfigResources 0-1. v0: client metrics alone (KIP-714); v1: of any type (KIP-1142). */
export const ListConfigResources = K.api(74, "ListConfigResources", {
  versions: [0, 1],
  flexible: 0,
  request: { resourceTypes: K.v("1+", K.array(K.int8), []) },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.int16,
    configResources: K.array({ resourceName: K.string, resourceType: K.v("1+", K.int8, 16) })
  }
})
