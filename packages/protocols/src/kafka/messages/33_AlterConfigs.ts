import * as K from "../Schema.ts"

/** AlterConfigs 0-2 (KIP-133): a resource's settings as a whole; what is left out goes back to its default. */
export const AlterConfigs = K.api(33, "AlterConfigs", {
  versions: [0, 2],
  flexible: 2,
  request: {
    resources: K.array({
      resourceType: K.int8,
      resourceName: K.string,
      configs: K.array({ name: K.string, value: K.nullableString })
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
