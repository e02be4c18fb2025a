import * as fs from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { LineProgram } from "../support/LineProgram.ts"
import { ServerProcess } from "../support/server.ts"
import { clients, type Client } from "./kafka/clients.ts"
import { pageFile, pageOf, resultsFile, type Results } from "./kafka/results.ts"
import { scenarios } from "./kafka/scenarios.ts"

/** By client: its library's release, and what it passed. */
const releases = new Map<Client, string>()
const passed = new Map<Client, Record<string, string>>(clients.map((client) => [client, {}]))

let server: ServerProcess
beforeAll(async () => {
  server = await ServerProcess.start()
})
afterAll(() => server?.dispose())

/** Clients run beside one another, and the scenarios of one in turn, since a program does one thing at a time. */
describe.concurrent.each(clients)("$name (%#)", (client) => {
  let program: LineProgram

  beforeAll(async () => {
    program = await LineProgram.start({ command: client.command, args: [...client.args, server.kafka] })
    releases.set(client, program.about!.get("release")!)
  })
  afterAll(() => program?.kill())

  for (const [i, { feature, run }] of scenarios.entries()) {
    if (client.lacks?.[feature] !== undefined) continue
    it.sequential(feature, async () => {
      await run({ server, program, name: `c${clients.indexOf(client)}s${i}` })
      passed.get(client)![feature] = "yes"
    })
  }
})

it("docs/kafka-clients.md is what this run gave (node scripts/kafka-clients.ts writes it)", () => {
  const results: Results = {
    features: scenarios.map(({ feature }) => feature),
    clients: clients.map((client) => ({
      name: client.name,
      release: releases.get(client) ?? "that did not start",
      cells: passed.get(client)!,
      lacks: client.lacks ?? {},
      notes: client.notes ?? []
    }))
  }
  fs.writeFileSync(resultsFile, JSON.stringify(results))
  expect(fs.readFileSync(pageFile, "utf8")).toBe(pageOf(results))
})
