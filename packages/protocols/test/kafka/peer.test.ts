import { readdirSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { apis } from "./apis.ts"
import type { AnyApi } from "../../src/kafka/Schema.ts"
import { includes } from "../../src/kafka/Shape.ts"
import type { Shape } from "../../src/kafka/Shape.ts"
import { arbitrary } from "./arbitraries.ts"

/** A codec of @platformatic/kafka, written by hand per version. Its modules are no part of that package's interface. */
interface Peer {
  readonly createRequest: (...args: ReadonlyArray<unknown>) => { readonly buffer: Buffer }
  readonly parseResponse: (correlationId: number, key: number, version: number, reader: unknown) => unknown
}

type Values = Record<string, unknown>

const dist = dirname(createRequire(import.meta.url).resolve("@platformatic/kafka"))
const { Reader } = (await import(join(dist, "protocol/reader.js"))) as {
  Reader: { from: (bytes: Buffer) => { readonly remaining: number } }
}
const modules = new Map<string, string>()
for (const folder of ["admin", "consumer", "metadata", "producer"]) {
  for (const file of readdirSync(join(dist, "apis", folder))) {
    modules.set(file, join(dist, "apis", folder, file))
  }
}

const cases = [...apis.values()].flatMap((api) => {
  const kebab = api.name.replace(/([a-z])([A-Z])/g, "$1-$2").toLowerCase()
  const versions = Array.from({ length: api.versions[1] - api.versions[0] + 1 }, (_, i) => api.versions[0] + i)
  return versions.flatMap((version) => {
    const path = modules.get(`${kebab}-v${version}.js`)
    return path === undefined ? [] : [[`${api.name} v${version}`, api, version, path] as const]
  })
})

/** From these versions on, the peer's arguments are the fields in the order of the wire. */
const plainRequestsSince = new Map([
  ["CreatePartitions", 0],
  ["CreateTopics", 2],
  ["DeleteGroups", 0],
  ["DeleteRecords", 0],
  ["DeleteTopics", 6],
  ["AlterConfigs", 0],
  ["DescribeCluster", 0],
  ["IncrementalAlterConfigs", 0],
  ["DescribeGroups", 0],
  ["DescribeProducers", 0],
  ["DescribeQuorum", 0],
  ["DescribeTopicPartitions", 0],
  ["ListPartitionReassignments", 0],
  ["FindCoordinator", 4],
  ["Heartbeat", 0],
  ["InitProducerId", 0],
  ["JoinGroup", 5],
  ["LeaveGroup", 3],
  ["ListOffsets", 2],
  ["Metadata", 12],
  ["OffsetCommit", 7],
  ["OffsetDelete", 0],
  ["OffsetFetch", 8],
  ["SyncGroup", 5]
])

/** What the peer makes up itself, up to a version; after it, or in no version, the field is on the wire. */
const derivedUntil = new Map([
  ["AddPartitionsToTxn.errorCode", 3],
  ["AddPartitionsToTxn.resultsByTransaction", 3],
  ["ApiVersions.apiKeys.name", 4],
  ["CreateTopics.topics.configs", 4],
  ["DescribeConfigs.results.configs.documentation", 2],
  ["DescribeQuorum.errorMessage", 1],
  ["DescribeQuorum.topics.partitions.errorMessage", 1],
  ["Fetch.responses.topicId", 12],
  ["FindCoordinator.coordinators", 3]
])

/** What the peer calls otherwise than Kafka's schemas. */
const ourNames = new Map([["resourcePatternType", "patternType"]])

function dashed(uuid: string): string {
  return Buffer.from(uuid, "base64url")
    .toString("hex")
    .replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
}

/** One of our values in the peer's types: bigint, Buffer, uuids in hexadecimal. */
function toPeer(shape: Shape, value: unknown): unknown {
  if (value === null) return null
  switch (shape.type) {
    case "int64":
      return BigInt(value as number)
    case "uuid":
      return dashed(value as string)
    case "bytes":
      return Buffer.from(value as Uint8Array)
    case "array":
      return (value as ReadonlyArray<unknown>).map((one) => toPeer(shape.element, one))
    case "struct": {
      const out: Values = {}
      for (const [name, field] of shape.fields) {
        out[name] = toPeer(field.shape, (value as Values)[name])
      }
      return out
    }
    default:
      return value
  }
}

/** Without what the peer cannot take: error codes that Kafka does not have, and records that are none. */
function tame(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tame)
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value
  const entries = Object.entries(value).map(([name, one]) => {
    return [name, name === "errorCode" || name === "partitionErrorCode" ? 0 : name === "records" ? null : tame(one)]
  })
  return Object.fromEntries(entries)
}

/** The fields that the peer has read, compared with ours. */
function compare(theirs: unknown, ours: unknown, version: number, path: string): void {
  if (version <= (derivedUntil.get(path) ?? -1)) return
  if (Array.isArray(theirs)) {
    expect(ours, path).toHaveLength(theirs.length)
    for (const [i, one] of theirs.entries()) compare(one, (ours as ReadonlyArray<unknown>)[i], version, path)
  } else if (theirs !== null && typeof theirs === "object" && !(theirs instanceof Uint8Array)) {
    for (const [name, one] of Object.entries(theirs)) {
      compare(one, (ours as Values)[ourNames.get(name) ?? name], version, `${path}.${name}`)
    }
  } else {
    expect(theirs, path).toEqual(ours)
  }
}

/** The peer throws at any error that a response tells of, with the response that it has read. */
function parse(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    if (error instanceof Error && "response" in error) return error.response
    throw error
  }
}

function requestOf(api: AnyApi, version: number, value: Values): ReadonlyArray<unknown> {
  const fields = [...api.request.fields].filter(([, field]) => includes(field.versions, version))
  return fields.map(([name, field]) => toPeer(field.shape, value[name]))
}

describe("another implementation", () => {
  it("is there to be asked", () => {
    expect(cases.length).toBeGreaterThanOrEqual(122)
  })

  it.each(cases)("reads our response: %s", async (_name, api, version, path) => {
    const peer = (await import(path)) as Peer
    fc.assert(
      fc.property(arbitrary(api.response, version).map(tame), (value) => {
        const reader = Reader.from(Buffer.concat(api.encodeResponse(version, value as never)))
        const theirs = parse(() => peer.parseResponse(1, api.key, version, reader))
        expect(reader.remaining).toBe(0)
        compare(theirs, toPeer(api.response, value), version, api.name)
      }),
      { numRuns: 20 }
    )
  })

  const requests = cases.filter(([, api, version]) => version >= (plainRequestsSince.get(api.name) ?? Infinity))

  it.each(requests)("writes the request that we write and read: %s", async (_name, api, version, path) => {
    const peer = (await import(path)) as Peer
    fc.assert(
      fc.property(arbitrary(api.request, version), (value) => {
        const theirs = peer.createRequest(...requestOf(api, version, value as Values)).buffer
        const ours = Buffer.concat(api.encodeRequest(version, value as never))
        expect(theirs.toString("hex")).toBe(ours.toString("hex"))
        expect(api.decodeRequest(theirs, version)).toEqual(value)
      }),
      { numRuns: 20 }
    )
  })
})
