import * as K from "../Schema.ts"

/** DeleteTopics 1-6. v5: error messages (KIP-599); v6: topics by name or by id (KIP-516). */
export const DeleteTopics = K.api(20, "DeleteTopics", {
  versions: [1, 6],
  flexible: 4,
  request: {
    topics: K.v("6+", K.array({ name: K.v("6+", K.nullableString, null), topicId: K.uuid }), []),
    topicNames: K.v("0-5", K.array(K.string), []),
    timeoutMs: K.int32
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    responses: K.array({
      name: K.nullable(K.string, "6+"),
      topicId: K.v("6+", K.uuid, K.zeroUuid),
      errorCode: K.int16,
      errorMessage: K.v("5+", K.nullableString, null)
    })
  }
})
