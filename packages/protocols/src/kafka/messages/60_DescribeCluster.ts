import * as K from "../Schema.ts"

/** DescribeCluster 0-2 (KIP-700). v1: brokers or controllers (KIP-919); v2: fenced brokers (KIP-1073). */
export const DescribeCluster = K.api(60, "DescribeCluster", {
  versions: [0, 2],
  flexible: 0,
  request: {
    includeClusterAuthorizedOperations: K.bool,
    endpointType: K.v("1+", K.int8, 1),
    includeFencedBrokers: K.v("2+", K.bool, false)
  },
  response: {
    throttleTimeMs: K.v("0+", K.int32, 0),
    errorCode: K.int16,
    errorMessage: K.v("0+", K.nullableString, null),
    endpointType: K.v("1+", K.int8, 1),
    clusterId: K.string,
    controllerId: K.v("0+", K.int32, -1),
    brokers: K.array({
      brokerId: K.int32,
      host: K.string,
      port: K.int32,
      rack: K.v("0+", K.nullableString, null),
      isFenced: K.v("2+", K.bool, false)
    }),
    clusterAuthorizedOperations: K.v("0+", K.int32, -0x8000_0000)
  }
})
