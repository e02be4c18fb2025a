import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePorts, host } from "../support/freePorts.ts"
import { outputOf } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"
import { cache, EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"

const startMsMax = 180_000
const program = path.join(import.meta.dirname, "apicurio/rooms_avro.py")
const subject = "rooms-value"

const schemaOf = (...fields: ReadonlyArray<object>): string => JSON.stringify({ type: "record", name: "Room", fields })
const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

const number = { name: "number", type: "int" }
const floor = { name: "floor", type: "string", default: "none" }

interface Answered {
  readonly status: number
  readonly body: unknown
}

describe("Apicurio Registry, which keeps its schemas in Kafka", () => {
  let server: ServerProcess
  let registry: EngineProcess
  let port: number

  /** The API of Confluent's registry, which most clients speak. */
  const url = (): string => `http://${host}:${port}/apis/ccompat/v7`

  const ask = async (method: string, route: string, body?: object): Promise<Answered> => {
    const headers = { "content-type": "application/vnd.schemaregistry.v1+json" }
    const response = await fetch(`${url()}${route}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    return { status: response.status, body: await response.json() }
  }

  const register = (schema: string, of = subject): Promise<Answered> =>
    ask("POST", `/subjects/${of}/versions`, { schema })

  /** It is ready once it has read all schemas from Kafka. */
  const startRegistry = async (): Promise<void> => {
    const settings = {
      "quarkus.http.host": host,
      "quarkus.http.port": port,
      "apicurio.storage.kind": "kafkasql",
      "apicurio.kafkasql.bootstrap.servers": server.kafka
    }
    const options = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`)
    registry = EngineProcess.jar("apicurio", "apicurio-registry-app-3.0.9-runner.jar", options)
    await registry.until("the registry is ready", startMsMax, async () => {
      const answer = await fetch(`http://${host}:${port}/health/ready`).catch(() => undefined)
      return answer?.ok === true
    })
  }

  const rooms = async (...args: ReadonlyArray<string>): Promise<ReadonlyArray<{ readonly number: number }>> => {
    const python = path.join(cache, "apicurio/bin/python")
    const output = await outputOf(python, [program, server.kafka, url(), "rooms", ...args], { timeoutMs: startMsMax })
    const lines = output.toString("utf8").split("\n")
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as { readonly number: number })
  }

  /** All that is stored of what was registered, as the registry tells it. */
  const stored = async (): Promise<ReadonlyArray<unknown>> => {
    const versions = (await ask("GET", `/subjects/${subject}/versions`)).body as ReadonlyArray<number>
    const each = versions.map(async (version) => (await ask("GET", `/subjects/${subject}/versions/${version}`)).body)
    return [
      await Promise.all(each),
      (await ask("GET", "/subjects")).body,
      (await ask("GET", `/config/${subject}`)).body
    ]
  }

  beforeAll(async () => {
    await prepare("apicurio")
    server = await ServerProcess.start()
    ;[port] = (await freePorts(1)) as [number]
    await server.createStream("rooms", { partitions: 3 })
    await startRegistry()
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    await server?.dispose()
  })

  it("keeps them, and what may become of them, over kills of the registry and of the server", async () => {
    const perSchema = 200
    await rooms("write", "0", String(perSchema))
    expect((await rooms("read", String(perSchema))).map((room) => room.number).toSorted((a, b) => a - b)).toEqual(
      numbers(perSchema)
    )

    expect(await ask("PUT", `/config/${subject}`, { compatibility: "BACKWARD" })).toMatchObject({ status: 200 })
    // A reader of this one could not read what is there.
    const incompatible = schemaOf(number, { name: "needed", type: "string" })
    expect(await register(incompatible)).toMatchObject({ status: 409 })
    expect(await register(schemaOf(number, floor))).toMatchObject({ status: 200 })
    const before = await stored()
    expect(before[0]).toHaveLength(2)

    await registry.kill()
    await startRegistry()
    expect(await stored()).toEqual(before)

    await server.kill()
    await server.start()
    // By a registry that was there before, and has the server found again.
    await rooms("write", String(perSchema), String(2 * perSchema), "floor")
    expect(await register(incompatible)).toMatchObject({ status: 409 })
    expect(await register(schemaOf(number), "halls-value")).toMatchObject({ status: 200 })
    const after = await stored()
    expect(after[0]).toEqual(before[0])

    await registry.kill()
    await startRegistry()
    expect(await stored()).toEqual(after)
    const read = (await rooms("read", String(2 * perSchema))).toSorted((a, b) => a.number - b.number)
    expect(read).toEqual(
      numbers(2 * perSchema).map((n) => (n < perSchema ? { number: n } : { number: n, floor: "told" }))
    )
    await expectNoViolations(server)
  })
})
