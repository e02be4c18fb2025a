import { readFileSync, writeFileSync } from "node:fs"
import { pageFile, pageOf, resultsFile, type Results } from "../test/clients/kafka/results.ts"

// What the last run of test/clients/kafkaClients.test.ts gave.
writeFileSync(pageFile, pageOf(JSON.parse(readFileSync(resultsFile, "utf8")) as Results))
