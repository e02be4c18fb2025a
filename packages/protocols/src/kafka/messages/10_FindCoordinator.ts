import * as K from "../Schema.ts"

/**
 * FindCoordinator 0-6. v1: coordinators of transactions; v4: several keys at once (KIP-699); v5: TRANSACTION_ABORTABLE
 * (KIP-890) and v6: share groups (KIP-932), the same on the wire. Key types: 0 group, 1 transaction, 2 share group.
 */
export const FindCoordinator = K.api(10, "FindCoordinator", {
  versions: [0, 6],
  flexible: 3,
  request: {
    key: K.v("0-3", K.string, ""),
    keyType: K.v("1+", K.int8, 0),
    coordinatorKeys: K.v("4+", K.array(K.string), [])
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    errorCode: K.v("0-3", K.int16, 0),
    errorMessage: K.v("1-3", K.nullableString, ""),
    nodeId: K.v("0-3", K.int32, 0),
    host: K.v("0-3", K.string, ""),
    port: K.v("0-3", K.int32, 0),
    coordinators: K.v(
      "4+",
      K.array({
        key: K.string,
        nodeId: K.int32,
        host: K.string,
        port: K.int32,
        errorCode: K.int16,
        errorMessage: K.nullableString
      }),
      []
    )
  }
})
