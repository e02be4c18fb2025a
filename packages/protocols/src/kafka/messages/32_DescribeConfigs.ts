import * as K from "../Schema.ts"

/** DescribeConfigs 1-4 (KIP-133). v1: sources and synonyms (KIP-226); v3: types and documentation (KIP-569). */
export const DescribeConfigs = K.api(32, "DescribeConfigs", {
  versions: [1, 4],
  flexible: 4,
  request: {
    resources: K.array({
      resourceType: K.int8,
      resourceName: K.string,
      configurationKeys: K.nullable(K.array(K.string))
    }),
    includeSynonyms: K.v("1+", K.bool, false),
    includeDocumentation: K.v("3+", K.bool, false)
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    results: K.array({
      errorCode: K.int16,
      errorMessage: K.nullableString,
      resourceType: K.int8,
      resourceName: K.string,
      configs: K.array({
        name: K.string,
        value: K.nullableString,
        readOnly: K.bool,
        configSource: K.v("1+", K.int8, -1),
        isSensitive: K.bool,
        synonyms: K.v("1+", K.array({ name: K.string, value: K.nullableString, source: K.int8 }), []),
        configType: K.v("3+", K.int8, 0),
        documentation: K.v("3+", K.nullableString, "")
      })
    })
  }
})
