import * as K from "../Schema.ts"

/** IncrementalAlterConfigs 0-1 (KIP-339): single settings; what is left out stays. */
export const IncrementalAlterConfigs = K.api(44, "IncrementalAlterConfigs", {
  versions: [0, 1],
  flexible: 1,
  request: {
    resources: K.array({
      resourceType: K.int8,
      resourceName: K.string,
      configs: K.array({ name: K.string, configOperation: K.int8, value: K.nullableString })
    }),
    validateOnly: K.bool
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    responses: K.array({
      errorCode: K.int16,
      errorMessage: K.nullableString,
      resourceType: K.int8,
      resourceName: K.string
    })
  }
})
