import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { encodeWholeResponse } from "@logbrook/protocols/kafka/Header"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { handler } from "../Handler.ts"

// ApiVersions 0-4: what is served, whatever the version. The one feature is `transaction.version` 2 (KIP-890), which is always on: producers
// that know it end each transaction with an epoch of its own. That it may be 0 is told from v4 on, since v3 cannot say so (KIP-1022).

const served = [0, 4] as const
/** Kafka's own rule for the names of clients and their versions (KIP-511). */
const softwareName = /^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$/
const softwareVersionMin = 3
const zeroMinVersionMin = 4

const transactionVersion = "transaction.version"
const transactionVersionMax = 2
/** Java goes by features only where there is an epoch of theirs. */
const featuresEpoch = 0
const finalizedFeatures = [
  { name: transactionVersion, maxVersionLevel: transactionVersionMax, minVersionLevel: transactionVersionMax }
]
const supportedFeatures = [{ name: transactionVersion, minVersion: 0, maxVersion: transactionVersionMax }]

export const apiVersionsHandler = handler(ApiVersions, {
  serves: served,
  needs: {},
  handle: (context, { clientSoftwareName, clientSoftwareVersion }, version) => {
    const apiKeys = context.listed.map(({ key, min, max }) => ({ apiKey: key, minVersion: min, maxVersion: max }))
    const isNamed = softwareName.test(clientSoftwareName) && softwareName.test(clientSoftwareVersion)
    if (isNamed) context.identified(clientSoftwareName)
    const errorCode = version < softwareVersionMin || isNamed ? KafkaError.NONE : KafkaError.INVALID_REQUEST
    return {
      errorCode,
      apiKeys,
      supportedFeatures: version < zeroMinVersionMin ? [] : supportedFeatures,
      finalizedFeaturesEpoch: featuresEpoch,
      finalizedFeatures
    }
  }
})

/**
 * The answer to a version that is not known: a v0 body, which every client can read, with the range to ask again in
 * (KIP-511). Java asks again at the maximum listed, librdkafka at v0.
 */
export const unsupportedApiVersions = (correlationId: number): ReadonlyArray<Uint8Array> =>
  encodeWholeResponse(ApiVersions, 0, correlationId, {
    errorCode: KafkaError.UNSUPPORTED_VERSION,
    apiKeys: [{ apiKey: ApiVersions.key, minVersion: served[0], maxVersion: served[1] }]
  })
