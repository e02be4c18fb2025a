import { readFileSync, writeFileSync } from "node:fs"
import { pageFile, pageOf, resultsFile, type Results } from "../test/clients/mqtt/results.ts"

// What the last run of test/clients/mqttClients.test.ts gave.
writeFileSync(pageFile, pageOf(JSON.parse(readFileSync(resultsFile, "utf8")) as Results))
