import { describe, expect, it } from "vitest"
import { Metadata } from "../../src/kafka/messages/03_Metadata.ts"
import { OffsetFetch } from "../../src/kafka/messages/09_OffsetFetch.ts"
import { JoinGroup } from "../../src/kafka/messages/11_JoinGroup.ts"
import { LeaveGroup } from "../../src/kafka/messages/13_LeaveGroup.ts"
import * as K from "../../src/kafka/Schema.ts"

const offset = { committedOffset: -1, committedLeaderEpoch: -1, metadata: "" }

describe("the first error of a response", () => {
  it("is the whole's before its parts'", () => {
    const members = [{ memberId: "a", groupInstanceId: null, errorCode: 25 }]
    expect(LeaveGroup.firstError({ errorCode: 15, members })).toBe(15)
    expect(LeaveGroup.firstError({ errorCode: 0, members })).toBe(25)
  })

  it("is found in nested parts, the first that is none of 0, in the order of the fields", () => {
    const partitions = [0, 3, 6].map((errorCode, partitionIndex) => ({ ...offset, partitionIndex, errorCode }))
    const topics = [{ name: "orders", partitions }]
    expect(OffsetFetch.firstError({ topics })).toBe(3)
    expect(OffsetFetch.firstError({ topics, groups: [{ groupId: "g", errorCode: 15, topics }] })).toBe(3)
    expect(OffsetFetch.firstError({ groups: [{ groupId: "g", errorCode: 15, topics }] })).toBe(15)
  })

  it("is 0 where there is none, where fields are left out, and in a message that has no errors", () => {
    expect(JoinGroup.firstError({ errorCode: 0, protocolName: "", leader: "", memberId: "", members: [] })).toBe(0)
    expect(Metadata.firstError({ brokers: [], controllerId: 1, topics: [] })).toBe(0)
    const none = K.api(1000, "None", { versions: [0, 0], flexible: "never", request: {}, response: { n: K.int8 } })
    expect(none.firstError({ n: 5 })).toBe(0)
  })
})
