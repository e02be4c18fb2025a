import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { javaInitTransactions } from "../support/java.ts"
import { pythonInitTransactions } from "../support/python.ts"
import { ServerProcess } from "../support/server.ts"

const text = "Transactions are not supported. Leave transactional.id out."

describe("a producer that asks for transactions, which are not there", () => {
  let server: ServerProcess

  beforeAll(async () => {
    server = await ServerProcess.start()
  })
  afterAll(() => server?.dispose())

  it("Java says so at once, and nothing of rules", async () => {
    const said = (await javaInitTransactions(server.kafka)).toString("utf8")
    expect(said).toContain(text)
    expect(said).not.toMatch(/authori[sz]/i)
  })

  it.each(["confluent", "confluent-2024"])("librdkafka gives up and says so: %s", async (packages) => {
    const said = await pythonInitTransactions({ packages, program: "confluent.py" }, server.kafka)
    expect(said).toContain("FATAL")
    expect(said).toContain(text)
  })
})
