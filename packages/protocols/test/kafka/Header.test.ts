import { describe, expect, it } from "vitest"
import { apis } from "./apis.ts"
import {
  decodeRequestHeader,
  decodeResponseHeader,
  encodeWholeRequest,
  encodeWholeResponse
} from "../../src/kafka/Header.ts"
import { Metadata } from "../../src/kafka/messages/03_Metadata.ts"
import { Heartbeat } from "../../src/kafka/messages/12_Heartbeat.ts"
import { ApiVersions } from "../../src/kafka/messages/18_ApiVersions.ts"
import { WireError } from "../../src/kafka/Wire.ts"

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"))
}

function text(chunks: ReadonlyArray<Uint8Array>): string {
  return Buffer.concat(chunks).toString("hex")
}

const compact = (spaced: string) => spaced.replaceAll(/\s/g, "")

// "rdkafka" as a nullable string of 16-bit length.
const rdkafka = "0007 72646b61666b61"

describe("ApiVersions on the wire, by hand", () => {
  it("v0 request: header v1, no body", () => {
    const request = hex(`0012 0000 00000001 ${rdkafka}`)
    const header = decodeRequestHeader(request, apis)
    expect(header).toMatchObject({ _tag: "Request", apiKey: 18, apiVersion: 0, correlationId: 1, clientId: "rdkafka" })
    if (header._tag !== "Request") return expect.unreachable()
    expect(ApiVersions.decodeRequest(request, 0, header.bodyOffset).clientSoftwareName).toBe("")
  })

  it("v3 request: header v2 with a client id that is not compact, then compact strings", () => {
    const body = "0b 6c696272646b61666b61 06 322e302e32 00"
    const request = hex(`0012 0003 00000001 ${rdkafka} 00 ${body}`)
    const header = decodeRequestHeader(request, apis)
    if (header._tag !== "Request") return expect.unreachable()
    expect(header.clientId).toBe("rdkafka")
    const value = { clientSoftwareName: "librdkafka", clientSoftwareVersion: "2.0.2" }
    expect(ApiVersions.decodeRequest(request, 3, header.bodyOffset)).toEqual(value)
    const encoded = encodeWholeRequest(ApiVersions, 3, { correlationId: 1, clientId: "rdkafka" }, value)
    expect(text(encoded)).toBe(`00000024${Buffer.from(request).toString("hex")}`)
  })

  it("v0 and v3 responses have a v0 header; tagged fields are in the body only", () => {
    const apiKeys = [{ apiKey: 18, minVersion: 0, maxVersion: 4 }]
    expect(text(encodeWholeResponse(ApiVersions, 0, 5, { errorCode: 35, apiKeys }))).toBe(
      compact("00000010 00000005 0023 00000001 0012 0000 0004")
    )
    const finalizedFeatures = [{ name: "a.b", maxVersionLevel: 2, minVersionLevel: 1 }]
    const value = { errorCode: 0, apiKeys, finalizedFeaturesEpoch: 3, finalizedFeatures }
    expect(text(encodeWholeResponse(ApiVersions, 3, 5, value))).toBe(
      compact(`00000029 00000005 0000 02 0012 0000 0004 00 00000000
               02 01 08 0000000000000003 02 0a 02 04 612e62 0002 0001 00`)
    )
  })
})

describe("Metadata v12 on the wire, by hand", () => {
  it("request: one topic by name", () => {
    const request = hex(`0003 000c 00000002 ${rdkafka} 00 02 ${"00".repeat(16)} 02 74 00 01 00 00`)
    const header = decodeRequestHeader(request, apis)
    if (header._tag !== "Request") return expect.unreachable()
    expect(Metadata.decodeRequest(request, 12, header.bodyOffset)).toEqual({
      topics: [{ topicId: "AAAAAAAAAAAAAAAAAAAAAA", name: "t" }],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false
    })
  })

  it("response: header v1, one broker, one topic, one partition", () => {
    const id = "00112233445566778899aabbccddeeff"
    const partition = {
      errorCode: 0,
      partitionIndex: 0,
      leaderId: 1,
      leaderEpoch: 5,
      replicaNodes: [1],
      isrNodes: [1],
      offlineReplicas: []
    }
    const value = {
      throttleTimeMs: 0,
      brokers: [{ nodeId: 1, host: "localhost", port: 9092, rack: null }],
      clusterId: "c",
      controllerId: 1,
      topics: [
        { errorCode: 0, name: "t", topicId: "ABEiM0RVZneImaq7zN3u_w", isInternal: false, partitions: [partition] }
      ]
    }
    const body = compact(`00000000 02 00000001 0a 6c6f63616c686f7374 00002384 00 00 02 63 00000001
      02 0000 02 74 ${id} 00 02 0000 00000000 00000001 00000005 02 00000001 02 00000001 01 00 80000000 00 00`)
    const chunks = encodeWholeResponse(Metadata, 12, 2, value)
    const size = (5 + body.length / 2).toString(16).padStart(8, "0")
    expect(text(chunks)).toBe(`${size}0000000200${body}`)
    const response = Buffer.concat(chunks).subarray(4)
    const { correlationId, bodyOffset } = decodeResponseHeader(response, Metadata, 12)
    expect(correlationId).toBe(2)
    expect(Metadata.decodeResponse(response, 12, bodyOffset)).toMatchObject(value)
  })
})

describe("request headers", () => {
  it("say of an unknown key only what all headers begin with", () => {
    expect(decodeRequestHeader(hex("0384 0001 00000009 ffff"), apis)).toEqual({
      _tag: "UnknownApi",
      apiKey: 900,
      apiVersion: 1,
      correlationId: 9
    })
  })

  it("say of an unsupported version which API it was, so that ApiVersions can be answered", () => {
    const tooNew = decodeRequestHeader(hex("0012 0063 00000009 ff"), apis)
    expect(tooNew).toMatchObject({ _tag: "UnsupportedVersion", apiVersion: 99, correlationId: 9 })
    expect(tooNew._tag === "UnsupportedVersion" && tooNew.api).toBe(ApiVersions)
    expect(decodeRequestHeader(hex("0000 0002 00000009 ffff"), apis)).toMatchObject({
      _tag: "UnsupportedVersion",
      apiKey: 0
    })
    expect(decodeRequestHeader(hex("0003 ffff 00000009 ffff"), apis)).toMatchObject({ _tag: "UnsupportedVersion" })
  })

  it("may have a null client id and tagged fields that are not known", () => {
    expect(decodeRequestHeader(hex("000c 0004 00000001 ffff 01 07 02 abcd 00"), apis)).toMatchObject({
      _tag: "Request",
      clientId: null,
      bodyOffset: 15
    })
  })

  it.each(["", "0012", "0012 0000 0000", "0012 0000 00000001 0005 61", "0012 0003 00000001 ffff 01 00 05 00"])(
    "that end too early are a WireError: %s",
    (bytes) => {
      expect(() => decodeRequestHeader(hex(bytes), apis)).toThrow(WireError)
    }
  )

  it("survive a round trip in every version of every API", () => {
    for (const api of apis.values()) {
      for (let version = api.versions[0]; version <= api.versions[1]; version++) {
        const empty = Buffer.concat(encodeResponseHeaderOf(api, version))
        expect(decodeResponseHeader(empty, api, version)).toMatchObject({ correlationId: 77 })
      }
    }
  })

  it("of a response: v1 from the flexible version on", () => {
    const [plain, flexible] = [3, 4].map((v) => text(encodeWholeResponse(Heartbeat, v, 1, { errorCode: 27 })))
    expect(plain).toBe(compact("0000000a 00000001 00000000 001b"))
    expect(flexible).toBe(compact("0000000c 00000001 00 00000000 001b 00"))
  })
})

/** A response without prefix and body, as far as its header goes. */
function encodeResponseHeaderOf(api: typeof apis extends ReadonlyMap<number, infer A> ? A : never, version: number) {
  const isTagged = api.key !== 18 && api.flexible !== "never" && version >= api.flexible
  return [hex(isTagged ? "0000004d 00" : "0000004d")]
}

it("takes an API's versions to the last one, and none beside them", () => {
  for (const [key, { versions }] of apis) {
    const tagOf = (version: number): string => {
      const request = Buffer.from("000000000000000100016100", "hex")
      request.writeInt16BE(key, 0)
      request.writeInt16BE(version, 2)
      return decodeRequestHeader(request, apis)._tag
    }
    const around = [versions[0] - 1, versions[0], versions[1], versions[1] + 1].map(tagOf)
    expect([key, ...around]).toEqual([key, "UnsupportedVersion", "Request", "Request", "UnsupportedVersion"])
  }
})
