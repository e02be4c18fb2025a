import { existsSync, readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { registry } from "@logbrook/server/kafka/handlers"
import { compareApi, parseSchema } from "../../packages/protocols/test/kafka/compareSchemas.ts"
import type { KafkaMessage } from "../../packages/protocols/test/kafka/compareSchemas.ts"

/** `common/message/*.json` of the kafka-clients jar, unpacked by `install.sh`; another directory can be given. */
const directory = process.env["KAFKA_MESSAGES"] ?? new URL(".cache/kafka-messages", import.meta.url).pathname

function readSchemas(): ReadonlyMap<string, KafkaMessage> {
  if (!existsSync(directory)) {
    throw new Error(
      `No Kafka schemas in ${directory}: run test/clients/install.sh, which unpacks the kafka-clients jar`
    )
  }
  const schemas = new Map<string, KafkaMessage>()
  for (const file of readdirSync(directory)) {
    if (!/(Request|Response)\.json$/.test(file)) continue
    const schema = parseSchema(readFileSync(`${directory}/${file}`, "utf8"))
    schemas.set(schema.name, schema)
  }
  return schemas
}

describe("the declarations of Kafka's messages", () => {
  const schemas = readSchemas()

  it("are compared with a whole set of Kafka's schemas", () => {
    expect(schemas.size).toBeGreaterThan(150)
    expect(registry.apis.size).toBeGreaterThanOrEqual(30)
  })

  it.each([...registry.apis.values()].map((api) => [`${api.key} ${api.name}`, api] as const))(
    "%s is Kafka's",
    (_name, api) => {
      expect(compareApi(api, schemas)).toEqual([])
    }
  )
})
