import * as K from "../Schema.ts"

/**
 * ApiVersions 0-4. v3: the client's software (KIP-511), features (KIP-584); v4: features with a minimum of 0 may be
 * listed (KIP-1022). The response header is v0 in all versions.
 */
export const ApiVersions = K.api(18, "ApiVersions", {
  versions: [0, 4],
  flexible: 3,
  request: {
    clientSoftwareName: K.v("3+", K.string, ""),
    clientSoftwareVersion: K.v("3+", K.string, "")
  },
  response: {
    errorCode: K.int16,
    apiKeys: K.array({ apiKey: K.int16, minVersion: K.int16, maxVersion: K.int16 }),
    throttleTimeMs: K.v("1+", K.int32, 0),
    supportedFeatures: K.tagged(0, "3+", K.array({ name: K.string, minVersion: K.int16, maxVersion: K.int16 }), []),
    finalizedFeaturesEpoch: K.tagged(1, "3+", K.int64, -1),
    finalizedFeatures: K.tagged(
      2,
      "3+",
      K.array({ name: K.string, maxVersionLevel: K.int16, minVersionLevel: K.int16 }),
      []
    ),
    zkMigrationReady: K.tagged(3, "3+", K.bool, false)
  }
})
