import { describe, expect, it } from "vitest"
import { plain } from "../../src/tools/plain.ts"
import { assignedPartitions } from "../../src/tools/consumerProtocol.ts"
import { structuralDiff } from "../../src/tools/structuralDiff.ts"

const member = (memberId: string, host: string) => ({ memberId, host })

describe("structuralDiff", () => {
  it("finds the smallest parts that differ", () => {
    const before = { state: "Stable", nested: { a: 1, b: [1, 2] }, gone: true }
    const after = { state: "Empty", nested: { a: 1, b: [1, 3, 4] }, come: null }
    expect(structuralDiff(before, after)).toEqual([
      { path: "state", change: "changed", before: "Stable", after: "Empty" },
      { path: "nested.b[1]", change: "changed", before: 2, after: 3 },
      { path: "nested.b[2]", change: "added", after: 4 },
      { path: "gone", change: "removed", before: true },
      { path: "come", change: "added", after: null }
    ])
    expect(structuralDiff(before, before)).toEqual([])
  })

  it("knows the elements of lists by what identifies them", () => {
    const changes = structuralDiff(
      { members: [member("a", "1"), member("b", "1")] },
      { members: [member("b", "2"), member("c", "1")] }
    )
    expect(changes.map(({ path, change }) => `${change} ${path}`)).toEqual([
      "removed members[a]",
      "changed members[b].host",
      "added members[c]"
    ])
  })

  it("tells a list from an object, and null from what is not there", () => {
    expect(structuralDiff({ a: [] }, { a: {} })).toHaveLength(1)
    expect(structuralDiff({ a: null }, { a: {} })).toHaveLength(1)
  })
})

describe("plain", () => {
  it("gives what JSON can hold, and cuts bytes", () => {
    const value = { map: new Map([["a", 1]]), bytes: new Uint8Array(200), undef: undefined, big: 5n, nan: NaN }
    const found = plain(value) as { bytes: { bytes: number; base64: string } }
    expect(found).toMatchObject({ map: [["a", 1]], big: "5", nan: "NaN", bytes: { bytes: 200 } })
    expect(found.bytes.base64.length).toBeLessThan(140)
    expect(JSON.parse(JSON.stringify(found))).toEqual(found)
  })
})

describe("assignedPartitions", () => {
  it("reads an assignment of the consumer protocol, and no other bytes", () => {
    const assignment = Buffer.from("000000000001000773656e736f727300000002000000030000000500000000", "hex")
    expect(assignedPartitions(assignment)).toEqual(["sensors-3", "sensors-5"])
    expect(assignedPartitions(assignment.subarray(0, 20))).toBeUndefined()
    expect(assignedPartitions(Buffer.from("{}"))).toBeUndefined()
  })
})
