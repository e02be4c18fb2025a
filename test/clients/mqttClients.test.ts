import * as fs from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ServerProcess } from "../support/server.ts"
import { clients, type Client, type Version } from "./mqtt/clients.ts"
import { Program } from "./mqtt/Program.ts"
import { pageFile, pageOf, resultsFile, versionName, versionsOf, type Results } from "./mqtt/results.ts"
import { scenarios } from "./mqtt/scenarios.ts"

/** By client: its library's release, and what it passed. */
const releases = new Map<Client, string>()
const passed = new Map<Client, Record<string, Array<Version>>>(clients.map((client) => [client, {}]))

/** Each client has a server and a program of its own, so clients run beside one another, and the scenarios of one in turn. */
for (const client of clients) {
  describe.concurrent(client.name, () => {
    let server: ServerProcess
    let program: Program

    beforeAll(async () => {
      server = await ServerProcess.start()
      program = await Program.start(client)
      releases.set(client, program.about.get("release")!)
    })
    afterAll(async () => {
      await program?.kill()
      await server?.dispose()
    })

    const cells = scenarios.flatMap((scenario, i) =>
      versionsOf(client, scenario).map((version) => ({ ...scenario, version, i }))
    )
    for (const { feature, version, run, i } of cells) {
      it.sequential(`${feature}, MQTT ${versionName(version)}`, async () => {
        await run({ client, version, server, program, name: `s${i}v${version}` })
        const own = passed.get(client)!
        own[feature] = [...(own[feature] ?? []), version]
      })
    }
  })
}

it("docs/mqtt-clients.md is what this run gave (node scripts/mqtt-clients.ts writes it)", () => {
  const results: Results = {
    features: scenarios.map(({ feature }) => feature),
    clients: clients.map((client) => ({
      name: client.name,
      release: releases.get(client) ?? "that did not start",
      passed: passed.get(client)!,
      lacks: client.lacks ?? {},
      notes: client.notes ?? []
    }))
  }
  fs.writeFileSync(resultsFile, JSON.stringify(results))
  expect(fs.readFileSync(pageFile, "utf8")).toBe(pageOf(results))
})
