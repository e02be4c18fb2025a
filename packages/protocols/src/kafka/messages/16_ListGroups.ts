import * as K from "../Schema.ts"

/** ListGroups 0-5. v4: of some states (KIP-518); v5: of some types (KIP-848). */
export const ListGroups = K.api(16, "ListGroups", {
  versions: [0, 5],
  flexible: 3,
  request: {
    statesFilter: K.v("4+", K.array(K.string), []),
    typesFilter: K.v("5+", K.array(K.string), [])
  },
  response: {
    throttleTimeMs: K.v("1+", K.int32, 0),
    errorCode: K.int16,
    groups: K.array({
      groupId: K.string,
      protocolType: K.string,
      groupState: K.v("4+", K.string, ""),
      groupType: K.v("5+", K.string, "")
    })
  }
})
