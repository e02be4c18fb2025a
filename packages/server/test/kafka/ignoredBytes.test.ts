import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { decodeResponseHeader, encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import type { AnyApi } from "@logbrook/protocols/kafka/Schema"
import { includes, type FieldShape, type Shape, type StructShape } from "@logbrook/protocols/kafka/Shape"
import * as fc from "fast-check"
import { afterAll, beforeAll, expect, it } from "vitest"
import { registry } from "../../src/kafka/handlers.ts"
import { startKit, until, type Kit, type RawClient } from "./kit.ts"

// Bytes behind a request's body: Kafka ignores them, and every librdkafka from 2.1 on sends some.

let kit: Kit
let client: RawClient

beforeAll(async () => {
  kit = await startKit()
  await kit.createStream("orders")
  client = await kit.connect()
})

afterAll(() => kit.close())

const served = [...registry.handlers.values()].flatMap(({ api, serves: [min, max] }) =>
  Array.from({ length: max - min + 1 }, (_, i) => [`${api.name} v${min + i}`, api, min + i] as const)
)

/** What has another meaning than "none" at zero: a request without acknowledgement, and one of a replica. */
const overrides: Readonly<Record<string, object>> = {
  Produce: { acks: -1 },
  ListOffsets: { replicaId: -1 },
  OffsetForLeaderEpoch: { replicaId: -1 }
}

const zero = (shape: Shape, version: number): unknown => {
  const isNull = "nullable" in shape && shape.nullable !== undefined && includes(shape.nullable, version)
  if (isNull) return null
  switch (shape.type) {
    case "bool":
      return false
    case "string":
      return ""
    case "bytes":
    case "records":
      return new Uint8Array(0)
    case "uuid":
      return "AAAAAAAAAAAAAAAAAAAAAA"
    case "array":
      return []
    case "struct":
      return plainest(shape, version)
    default:
      return 0
  }
}

const valueOf = ({ fallback, shape }: FieldShape, version: number): unknown =>
  fallback === undefined ? zero(shape, version) : fallback

/** Every field at its default, or nothing. */
const plainest = ({ fields }: StructShape, version: number): Record<string, unknown> =>
  Object.fromEntries([...fields].map(([name, field]) => [name, valueOf(field, version)]))

/** The same body with a longer request. */
const withBehind = (request: Buffer, behind: Uint8Array): Buffer => {
  const longer = Buffer.concat([request, behind])
  longer.writeInt32BE(longer.length - 4)
  return longer
}

const correlationId = 7

const answerTo = async (api: AnyApi, version: number, behind: Uint8Array): Promise<object> => {
  const request = { ...plainest(api.request, version), ...overrides[api.name] }
  const header = { correlationId, clientId: "raw" }
  const bytes = Buffer.concat(encodeWholeRequest(api, version, header, request as never))
  const at = client.responses.length
  client.write(withBehind(bytes, behind))
  await until(() => client.responses.length > at || client.isClosed)
  const answer = client.responses[at]
  if (answer === undefined) throw new Error(`${api.name} v${version}: closed`)
  const read = decodeResponseHeader(answer, api, version)
  expect(read.correlationId).toBe(correlationId)
  return api.decodeResponse(answer, version, read.bodyOffset) as object
}

/** Without what is new in every answer. */
const comparable = ({ producerId, ...rest }: { readonly producerId?: number }): object => ({
  ...rest,
  hasProducerId: producerId !== undefined && producerId >= 0
})

const ignored = (api: string): number => {
  const found = new RegExp(`logbrook_kafka_ignored_bytes_total\\{api="${api}"\\} (\\d+)`).exec(
    kit.broker.metrics.render()
  )
  return Number(found?.[1] ?? 0)
}

it.each(served)("%s with 1 to 16 bytes behind it is answered as without them", async (_name, api, version) => {
  const expected = comparable(await answerTo(api, version, new Uint8Array(0)))
  const behind = fc.uint8Array({ minLength: 1, maxLength: 16 })
  await fc.assert(
    fc.asyncProperty(behind, async (bytes) => {
      const before = ignored(api.name)
      expect(comparable(await answerTo(api, version, bytes))).toEqual(expected)
      expect(ignored(api.name) - before).toBe(bytes.length)
    }),
    { numRuns: 8 }
  )
  expect(kit.lines).toEqual([])
})

it("the null array of librdkafka 2.1 and later lists all topics", async () => {
  const own = await kit.connect()
  const body = "0003000d00000003000772646b61666b6100 00000000 000000"
  const bytes = Buffer.from(`00000019${body.replaceAll(" ", "")}`, "hex")
  own.write(bytes)
  await until(() => own.responses.length > 0)
  const { bodyOffset } = decodeResponseHeader(own.responses[0]!, Metadata, 13)
  const { topics } = Metadata.decodeResponse(own.responses[0]!, 13, bodyOffset)
  expect(topics.map(({ name }) => name)).toEqual(["orders"])
})
