import type { Rule } from "@logbrook/core/access/Access"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { defaultLimits } from "@logbrook/core/Limits"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import { listenHttp } from "../../src/http/HttpServer.ts"
import { openApi } from "../../src/http/apiHandler.ts"
import { makeMqttBroker } from "../../src/mqtt/MqttBroker.ts"
import { defaultMqttOptions } from "../../src/mqtt/MqttOptions.ts"
import { RetentionClock } from "../../src/RetentionClock.ts"
import { startKit, type Kit } from "../kafka/kit.ts"
import { localListener } from "../support/listener.ts"
import { acquired } from "../support/parts.ts"

// Every endpoint of the API, and every other page, says what it needs; who may do nothing gets the pages that need nothing.

const denies: Rule = () => ({ reason: "BoundStream", text: "nobody may do anything" })
/** For each endpoint with a body or parameters, what makes it a valid request. */
const queries: Readonly<Record<string, string>> = {
  "/api/v1/journal/state": "?actor=catalog/0",
  "/api/v1/journal/diff": "?actor=catalog/0&from=1&to=2",
  "/api/v1/retained": "?filter=a"
}
/** By method, or by the whole endpoint. */
const bodies: Readonly<Record<string, string>> = {
  post: `{"name":"new"}`,
  patch: `{"config":{}}`,
  "post /api/v1/groups/orders/reset-offsets": `{"to":"earliest"}`
}

const endpoints = Object.entries(openApi.paths).flatMap(([template, methods]) =>
  Object.keys(methods).map(
    (method) => [method, template.replace("{seq}", "1").replaceAll(/\{\w+\}/g, "orders")] as const
  )
)
/** Lists have what whoever asks may know of: nothing. */
const lists = new Set(["get /api/v1/streams", "get /api/v1/groups", "get /api/v1/transactions"])

describe("access over HTTP", () => {
  let kit: Kit
  let port: number
  let stop: () => Promise<void>

  beforeAll(async () => {
    kit = await startKit({ authorizer: new Authorizer([denies]) })
    await kit.createStream("orders")
    const listening = listenHttp(
      kit.broker,
      {
        journal: kit.journal,
        readiness: { isDraining: false },
        mqtt: makeMqttBroker(kit.broker, defaultMqttOptions),
        retentionClock: new RetentionClock(new TestClock(), defaultLimits, {
          lastTimeMs: undefined,
          heldAtMs: undefined
        }),
        config: { settings: [], sinceMs: 0 }
      },
      [localListener("http")]
    )
    const { made, close } = await acquired(listening)
    port = made[0]!.port
    stop = close
  })
  afterAll(async () => {
    await stop()
    await kit.close()
  })

  const ask = async (method: string, path: string): Promise<{ status: number; text: string }> => {
    const body = bodies[`${method} ${path}`] ?? bodies[method]
    const init = body === undefined ? {} : { body, headers: { "content-type": "application/json" } }
    const url = `http://127.0.0.1:${port}${path}${queries[path] ?? ""}`
    const response = await fetch(url, { method: method.toUpperCase(), ...init })
    return { status: response.status, text: await response.text() }
  }

  it.each(endpoints.filter(([method, path]) => !lists.has(`${method} ${path}`)))("%s %s", async (method, path) => {
    const { nextSeq } = kit.shard
    const { status, text } = await ask(method, path)
    expect([status, JSON.parse(text)]).toEqual([403, { code: "FORBIDDEN", message: "nobody may do anything" }])
    expect(kit.shard.nextSeq).toBe(nextSeq)
  })

  it.each([...lists])("%s has nothing of what may not be known", async (list) => {
    const [method, path] = list.split(" ") as [string, string]
    expect(JSON.parse((await ask(method, path)).text)).toMatchObject({ data: [] })
  })

  it("pages beside the API", async () => {
    for (const path of ["/metrics", "/api/v1/journal/tail"]) expect((await ask("get", path)).status).toBe(403)
    for (const path of ["/", "/healthz", "/readyz", "/openapi.json"]) expect((await ask("get", path)).status).toBe(200)
  })
})
