import * as path from "node:path"
import { matrixOf, type Column } from "../matrix.ts"

/** What a run of all clients through all scenarios gave. */
export interface Results {
  readonly features: ReadonlyArray<string>
  readonly clients: ReadonlyArray<Column>
}

export const resultsFile = path.join(import.meta.dirname, "../.cache/kafka-clients.json")
export const pageFile = path.join(import.meta.dirname, "../../../docs/kafka-clients.md")

/** docs/kafka-clients.md */
export const pageOf = ({ features, clients }: Results): string =>
  [
    "# Kafka clients that the tests run",
    "",
    "`npm run test:clients` takes each library through each feature, against the server as users run it. – is what the library itself does",
    "not have, with its reason below. The run writes this page (`node scripts/kafka-clients.ts`), and fails where the page says something",
    "else. The programs are in `test/clients/kafka/programs`, what each feature has to show in `test/clients/kafka/scenarios.ts`.",
    "",
    ...matrixOf(features, clients),
    ""
  ].join("\n")
