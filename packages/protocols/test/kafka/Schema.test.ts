import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apis } from "./apis.ts"
import { Fetch } from "../../src/kafka/messages/01_Fetch.ts"
import { JoinGroup } from "../../src/kafka/messages/11_JoinGroup.ts"
import { ApiVersions } from "../../src/kafka/messages/18_ApiVersions.ts"
import * as K from "../../src/kafka/Schema.ts"
import type { RequestOf, ResponseInputOf } from "../../src/kafka/Schema.ts"
import { Reader, WireError } from "../../src/kafka/Wire.ts"
import { arbitrary } from "./arbitraries.ts"

const cases = [...apis.values()].flatMap((api) => {
  const [min, max] = api.versions
  return Array.from({ length: max - min + 1 }, (_, i) => [`${api.name} v${min + i}`, api, min + i] as const)
})

const everything = K.api(901, "Everything", {
  versions: [0, 3],
  flexible: 2,
  request: {
    flag: K.bool,
    small: K.uint16,
    big: K.uint32,
    ratio: K.float64,
    maybe: K.nullable(K.struct({ x: K.int8 }), "1+"),
    blob: K.nullableBytes,
    texts: K.nullable(K.array(K.nullableString), "1+"),
    mine: K.tagged(5, "3+", K.nullableString, null),
    theirs: K.tagged(2, "2+", K.struct({ a: K.int32, b: K.array(K.int8) }), { a: 0, b: [] })
  },
  response: {}
})

function join(chunks: ReadonlyArray<Uint8Array>): Uint8Array {
  return Uint8Array.from(Buffer.concat(chunks))
}

function reasonOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof WireError) return error.reason
    throw error
  }
  return "nothing thrown"
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"))
}

const responseOf = (records: Uint8Array | ReadonlyArray<Uint8Array> | null) => ({
  responses: [
    {
      topic: "t",
      partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 1, abortedTransactions: null, records }]
    }
  ]
})

describe("every API in every version", () => {
  it("is there: 44 APIs and their versions", () => {
    expect(apis.size).toBe(44)
    expect(cases.length).toBe(222)
  })

  it.each([...cases, ...[0, 1, 2, 3].map((version) => [`Everything v${version}`, everything, version] as const)])(
    "%s decodes what it encodes",
    (_name, api, version) => {
      fc.assert(
        fc.property(arbitrary(api.request, version), arbitrary(api.response, version), (request, response) => {
          expect(api.decodeRequest(join(api.encodeRequest(version, request as never)), version)).toEqual(request)
          expect(api.decodeResponse(join(api.encodeResponse(version, response as never)), version)).toEqual(response)
        }),
        { numRuns: 25 }
      )
    }
  )

  it.each(cases)("%s answers cut and damaged bytes with a value or a WireError, quickly", (_name, api, version) => {
    fc.assert(
      fc.property(arbitrary(api.request, version), fc.nat(), fc.nat({ max: 255 }), (request, where, byte) => {
        const whole = join(api.encodeRequest(version, request as never))
        if (whole.length === 0) return
        const at = where % whole.length
        const cut = reasonOf(() => api.decodeRequest(whole.subarray(0, at), version))
        expect(cut).not.toBe("nothing thrown")
        const damaged = Uint8Array.from(whole)
        damaged[at] = byte
        // Anything but a WireError is thrown on by `reasonOf`.
        reasonOf(() => api.decodeRequest(damaged, version))
        expect(reasonOf(() => api.decodeRequest(Buffer.concat([whole, Buffer.of(0)]), version))).not.toBe(
          "nothing thrown"
        )
      }),
      { numRuns: 25 }
    )
  })

  it.each(cases)("%s reads a request up to its end and leaves what is behind it", (_name, api, version) => {
    const behind = fc.uint8Array({ minLength: 1, maxLength: 16 })
    fc.assert(
      fc.property(arbitrary(api.request, version), behind, (request, more) => {
        const reader = new Reader(Buffer.concat([...api.encodeRequest(version, request as never), more]))
        expect(api.readRequest(reader, version)).toEqual(request)
        expect(reader.remaining).toBe(more.length)
      }),
      { numRuns: 25 }
    )
  })

  it.each(cases)("%s refuses its neighbours outside the range", (_name, api) => {
    for (const version of [api.versions[0] - 1, api.versions[1] + 1, 0.5, Number.NaN]) {
      expect(reasonOf(() => api.decodeRequest(new Uint8Array(0), version))).toBe("version")
      expect(reasonOf(() => api.encodeResponse(version, {} as never))).toBe("version")
    }
  })
})

describe("lying lengths", () => {
  // JoinGroup v0: group "g", timeout, member "", type "c", then the protocols.
  const start = "0001 67 00002710 0000 0001 63"

  it.each([
    ["an array of 2^31 - 1", `${start} 7fffffff`, "too-large"],
    ["an array of 100,000 in 0 bytes", `${start} 000186a0`, "truncated"],
    ["a negative array", `${start} fffffffe`, "length"],
    ["a null array that is not nullable", `${start} ffffffff`, "null"],
    ["bytes past the end", `${start} 00000001 0001 72 00000005 00`, "truncated"],
    ["negative bytes", `${start} 00000001 0001 72 fffffff0`, "length"],
    ["null bytes", `${start} 00000001 0001 72 ffffffff`, "null"],
    ["a string past the end", "00ff 67", "truncated"],
    ["a negative string", "fffe", "length"],
    ["a null string", "ffff", "null"],
    ["bytes after the end", `${start} 00000000 00`, "trailing"]
  ])("%s: %s → %s", (_what, bytes, reason) => {
    expect(reasonOf(() => JoinGroup.decodeRequest(hex(bytes), 0))).toBe(reason)
  })

  it.each([
    ["a compact string past the end", "ff01 61", "truncated"],
    ["a compact string of 2 GB", "ffffffff07 61", "length"],
    ["a compact null string", "00", "null"],
    ["a tagged field past the end", "01 01 01 00 05 00", "truncated"],
    ["tagged fields without end", "01 01 ffffffff0f 00 00", "truncated"]
  ])("%s: %s → %s", (_what, bytes, reason) => {
    expect(reasonOf(() => ApiVersions.decodeRequest(hex(bytes), 3))).toBe(reason)
  })

  it("checks that a tagged field is as long as it says", () => {
    const value = { errorCode: 0, apiKeys: [], finalizedFeaturesEpoch: 7 }
    const good = join(ApiVersions.encodeResponse(3, value))
    expect(Buffer.from(good).toString("hex")).toBe("0000 01 00000000 01 01 08 0000000000000007".replaceAll(" ", ""))
    expect(ApiVersions.decodeResponse(good, 3).finalizedFeaturesEpoch).toBe(7)
    const long = hex("0000 01 00000000 01 01 09 0000000000000007 00")
    const short = hex("0000 01 00000000 01 01 07 0000000000000007")
    expect(reasonOf(() => ApiVersions.decodeResponse(long, 3))).toBe("trailing")
    expect(reasonOf(() => ApiVersions.decodeResponse(short, 3))).toBe("trailing")
  })
})

describe("a declaration", () => {
  it("gives one type: all fields decoded, those with a default optional to encode", () => {
    const request: RequestOf<typeof JoinGroup> = JoinGroup.decodeRequest(
      hex("0001 67 00002710 0000 0001 63 00000000"),
      0
    )
    expect(request).toEqual({
      groupId: "g",
      sessionTimeoutMs: 10000,
      rebalanceTimeoutMs: -1,
      memberId: "",
      groupInstanceId: null,
      protocolType: "c",
      protocols: [],
      reason: null
    })
    const response: ResponseInputOf<typeof ApiVersions> = { errorCode: 35, apiKeys: [] }
    expect(ApiVersions.decodeResponse(join(ApiVersions.encodeResponse(4, response)), 4)).toEqual({
      ...response,
      throttleTimeMs: 0,
      supportedFeatures: [],
      finalizedFeaturesEpoch: -1,
      finalizedFeatures: [],
      zkMigrationReady: false
    })
    // @ts-expect-error `errorCode` has no default
    const incomplete: ResponseInputOf<typeof ApiVersions> = { apiKeys: [] }
    expect(reasonOf(() => ApiVersions.encodeResponse(0, incomplete))).toBe("range")
  })

  it("skips tagged fields that it does not know, in every struct", () => {
    const plain = "02 0001 0000 0004"
    const tags = "02 63 03 aabbcc 64 00"
    const decoded = ApiVersions.decodeResponse(hex(`0000 ${plain} ${tags} 00000000 ${tags}`), 3)
    expect(decoded.apiKeys).toEqual([{ apiKey: 1, minVersion: 0, maxVersion: 4 }])
  })

  it("writes tagged fields in the order of their tags, and none that is at its default", () => {
    const value = { flag: true, small: 1, big: 2, ratio: 0, maybe: null, blob: null, texts: null }
    const bare = Buffer.from(join(everything.encodeRequest(3, { ...value, mine: null, theirs: { a: 0, b: [] } })))
    expect(bare.toString("hex")).toBe("01 0001 00000002 0000000000000000 ff 00 00 00".replaceAll(" ", ""))
    const full = Buffer.from(join(everything.encodeRequest(3, { ...value, mine: "m", theirs: { a: 1, b: [] } })))
    expect(full.subarray(bare.length - 1).toString("hex")).toBe(
      "02 02 06 00000001 01 00 05 02 026d".replaceAll(" ", "")
    )
    const second = Buffer.from(join(everything.encodeRequest(2, { ...value, mine: "m", theirs: { a: 0, b: [1] } })))
    expect(second.subarray(bare.length - 1).toString("hex")).toBe("01 02 07 00000000 02 01 00".replaceAll(" ", ""))
  })

  it("refuses null where a version does not allow it, read or written", () => {
    const response = { errorCode: 0, protocolName: null, leader: "", memberId: "", members: [] }
    expect(JoinGroup.decodeResponse(join(JoinGroup.encodeResponse(7, response)), 7).protocolName).toBeNull()
    expect(reasonOf(() => JoinGroup.encodeResponse(6, response))).toBe("null")
  })

  it("puts the pieces of a partition's records behind one another, as one value would be", () => {
    const pieces = [
      new Uint8Array(3000).fill(1),
      new Uint8Array(0),
      new Uint8Array(10).fill(2),
      new Uint8Array(2000).fill(3)
    ]
    for (const version of [4, 11, 12]) {
      const chunks = Fetch.encodeResponse(version, responseOf(pieces))
      expect(Buffer.concat(chunks)).toEqual(
        Buffer.concat(Fetch.encodeResponse(version, responseOf(Buffer.concat(pieces))))
      )
      expect(chunks).toContain(pieces[0])
      const none = Buffer.concat(Fetch.encodeResponse(version, responseOf([])))
      expect(Fetch.decodeResponse(none, version).responses[0]?.partitions[0]?.records).toHaveLength(0)
    }
  })

  it("keeps records as a view of the message, and passes large ones on by reference", () => {
    const records = new Uint8Array(5000).fill(1)
    const partition = { partitionIndex: 0, errorCode: 0, highWatermark: 1, abortedTransactions: null, records }
    const chunks = Fetch.encodeResponse(12, { responses: [{ topic: "t", partitions: [partition] }] })
    expect(chunks).toContain(records)
    const message = join(chunks)
    const decoded = Fetch.decodeResponse(message, 12).responses[0]?.partitions[0]?.records
    expect(decoded?.length).toBe(5000)
    expect(decoded?.buffer).toBe(message.buffer)
  })
})
