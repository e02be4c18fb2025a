import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { errorName, KafkaError, retriableCodes } from "../../src/kafka/ErrorCodes.ts"

interface KnownError {
  readonly id: string
  readonly code: number
  readonly canRetry: boolean
}

/** The table that another client generates from Kafka's sources; it is not part of that package's interface. */
async function knownErrors(): Promise<ReadonlyArray<KnownError>> {
  const entry = createRequire(import.meta.url).resolve("@platformatic/kafka")
  const table = (await import(join(dirname(entry), "protocol/errors.js"))) as { protocolErrors: object }
  return Object.values(table.protocolErrors) as ReadonlyArray<KnownError>
}

describe("Kafka's error codes", () => {
  it("are those that another client knows, as are the retriable ones", async () => {
    const known = await knownErrors()
    expect(known.length).toBeGreaterThan(120)
    const ours = new Map<string, number>(Object.entries(KafkaError))
    for (const { id, code, canRetry } of known) {
      expect([id, ours.get(id), retriableCodes.has(code)]).toEqual([id, code, canRetry])
    }
  })

  it("are dense from -1 on, each with one name", () => {
    expect(Object.values(KafkaError)).toEqual(Array.from({ length: 135 }, (_, i) => i - 1))
    expect(errorName(-1)).toBe("UNKNOWN_SERVER_ERROR")
    expect(errorName(79)).toBe("MEMBER_ID_REQUIRED")
    expect(errorName(999)).toBe("999")
  })
})
