import * as path from "node:path"
import { matrixOf, type Column } from "../matrix.ts"
import type { Client, Version } from "./clients.ts"
import type { Scenario } from "./scenarios.ts"

/** What a run of all clients through all scenarios gave. */
export interface Results {
  readonly features: ReadonlyArray<string>
  readonly clients: ReadonlyArray<ClientResult>
}

export interface ClientResult {
  readonly name: string
  /** The library's, as its program tells it. */
  readonly release: string
  /** In which versions of MQTT a feature passed. */
  readonly passed: Readonly<Record<string, ReadonlyArray<Version>>>
  /** Why a feature was not run: the library does not have it. */
  readonly lacks: Readonly<Record<string, string>>
  /** What else is to be said of the library. */
  readonly notes: ReadonlyArray<string>
}

export const resultsFile = path.join(import.meta.dirname, "../.cache/mqtt-clients.json")
export const pageFile = path.join(import.meta.dirname, "../../../docs/mqtt-clients.md")

const versionNames: Readonly<Record<Version, string>> = { 4: "3.1.1", 5: "5" }
export const versionName = (version: Version): string => versionNames[version]

/** The versions in which a client goes through a scenario; none if its library cannot. */
export const versionsOf = (client: Client, { feature, versions }: Scenario): ReadonlyArray<Version> =>
  client.lacks?.[feature] === undefined ? versions.filter((version) => client.versions.includes(version)) : []

const columnOf = ({ name, release, passed, lacks, notes }: ClientResult): Column => ({
  name,
  release,
  cells: Object.fromEntries(
    Object.entries(passed).map(([feature, versions]) => [feature, versions.map(versionName).join(", ")])
  ),
  lacks,
  notes
})

/** docs/mqtt-clients.md */
export const pageOf = ({ features, clients }: Results): string =>
  [
    "# MQTT clients that the tests run",
    "",
    "`npm run test:clients` takes each library through each feature, against the server as users run it, which is ended by SIGTERM",
    "and by kill -9 on the way. A cell has the versions of MQTT in which it passed; – is what the library itself does not have, with",
    "its reason below. The run writes this page (`node scripts/mqtt-clients.ts`), and fails where the page says something else. The",
    "programs are in `test/clients/mqtt/programs`, what each feature has to show in `test/clients/mqtt/scenarios.ts`.",
    "",
    ...matrixOf(features, clients.map(columnOf)),
    ""
  ].join("\n")
