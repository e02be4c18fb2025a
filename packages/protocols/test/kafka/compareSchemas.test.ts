import { describe, expect, it } from "vitest"
import * as K from "../../src/kafka/Schema.ts"
import type { AnyApi } from "../../src/kafka/Schema.ts"
import { compareApi, parseSchema } from "./compareSchemas.ts"
import type { KafkaMessage } from "./compareSchemas.ts"

const kafkasRequest = `// A comment
{
  "apiKey": 900, "type": "request", "name": "InventedRequest", "validVersions": "0-4", "flexibleVersions": "2+",
  // Another
  "fields": [
    { "name": "Name", "type": "string", "versions": "0+", "nullableVersions": "3+" },
    { "name": "Count", "type": "int32", "versions": "1+", "default": "-1", "about": "See https://example.org." }, // and a third
    { "name": "Gone", "type": "int8", "versions": "0" },
    { "name": "Items", "type": "[]Item", "versions": "0+", "fields": [ { "name": "Id", "type": "uuid", "versions": "0+" } ] },
    { "name": "Leader", "type": "Pair", "versions": "2+", "taggedVersions": "2+", "tag": 7 }
  ],
  "commonStructs": [
    { "name": "Pair", "versions": "2+", "fields": [ { "name": "Epoch", "type": "int32", "versions": "2+", "default": "-1" } ] }
  ]
}`

const request = parseSchema(kafkasRequest)
const response: KafkaMessage = { ...request, name: "InventedResponse", fields: [] }
const schemas = new Map([request, response].map((one) => [one.name, one]))

const leader = K.tagged(7, "2+", K.struct({ epoch: K.v("2+", K.int32, -1) }), { epoch: -1 })
const good = {
  name: K.nullable(K.string, "3+"),
  count: K.v("1+", K.int32, -1),
  items: K.array({ id: K.uuid }),
  leader
}

function invented(
  fields: K.Fields,
  over: { flexible?: number; versions?: readonly [number, number]; key?: number } = {}
): AnyApi {
  const { key = 900, versions = [1, 4], flexible = 2 } = over
  return K.api(key, "Invented", { versions, flexible, request: fields, response: {} })
}

describe("the comparison with Kafka's schemas", () => {
  it("accepts an equal declaration, and leaves out what our versions do not have", () => {
    expect(compareApi(invented(good), schemas)).toEqual([])
  })

  it.each<[string, AnyApi, RegExp]>([
    ["a wrong type", invented({ ...good, items: K.array({ id: K.string }) }), /items\[\]?\.id: type is "string"/],
    ["a wrong version", invented({ ...good, count: K.v("2+", K.int32, -1) }), /count: versions is "2-4"/],
    ["a wrong default", invented({ ...good, count: K.v("1+", K.int32, 0) }), /count: default is 0/],
    ["an undeclared default", invented({ ...good, count: K.int32 }), /count: the default -1 is not declared/],
    ["a wrong nullability", invented({ ...good, name: K.nullableString }), /name: nullable versions is "1-4"/],
    ["a missing nullability", invented({ ...good, name: K.string }), /name: nullable versions is "none"/],
    ["a missing field", invented({ name: good.name, items: good.items, leader }), /the order of fields/],
    ["a field too many", invented({ ...good, more: K.int8 }), /the order of fields/],
    ["a wrong order", invented({ count: good.count, name: good.name, items: good.items, leader }), /the order of/],
    ["a missing tagged field", invented({ name: good.name, count: good.count, items: good.items }), /tagged fields/],
    [
      "a wrong tag",
      invented({ ...good, leader: { ...leader, field: { ...leader.field, tag: 6 } } }),
      /leader: tag is 6/
    ],
    [
      "a wrong default of a struct",
      invented({ ...good, leader: K.tagged(7, "2+", K.struct({ epoch: K.v("2+", K.int32, -1) }), { epoch: 0 }) }),
      /leader: default/
    ],
    ["a wrong flexible version", invented(good, { flexible: 3 }), /flexible is 3/],
    ["a wrong key", invented(good, { key: 901 }), /key is 901/],
    ["a version that Kafka lacks", invented(good, { versions: [1, 5] }), /not within Kafka's 0-4/]
  ])("finds %s", (_what, api, difference) => {
    expect(compareApi(api, schemas).join("\n")).toMatch(difference)
  })

  it("finds a message that Kafka lacks", () => {
    expect(compareApi(invented(good), new Map()).join("\n")).toMatch(/InventedRequest: Kafka has no such message/)
  })
})
