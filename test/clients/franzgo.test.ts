import { spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ServerProcess } from "../support/server.ts"

/** The tests of franz-go's package kgo, as `install.sh` has compiled them. */
const program = path.join(import.meta.dirname, ".cache/kafka/kgo.test")
/** Below the test's own bound, so that the program ends first and tells where it stood. */
const timeoutS = 160

/** What is not run, each with its reason. */
const leftOut = [
  // It waits for the topic `__consumer_offsets`: this server has its groups in its journal.
  "TestConsumeRegex",
  // It looks for its sources.
  "TestOptValuesCoversEveryOption"
]

/** What skips itself where a server does not have something. */
const absent = [
  // SASL.
  "TestOAuthAuth",
  "TestSCRAMAuth",
  "TestSCRAMAuthBadCredentials",
  // The consumer groups of KIP-848.
  "Test848RegexBrokerResolves",
  ...["TestGroupETL", "TestTxnEtl"].flatMap((test) =>
    ["range/848", "sticky/848", "sticky/848/static"].map((name) => `${test}/${name}`)
  ),
  "TestGroupSimple/848",
  // Share groups.
  "TestConsumeRegexShareSkipsInternal",
  "TestShareGroup",
  "TestShareGroupAckOnClose",
  "TestShareGroupETL",
  "TestShareGroupOffsetsAdmin",
  // Of a server that lists no Produce 2: this one does, as Kafka.
  "TestIssueProduceBrokerTooOldFailsRecords"
]

/** What they make of a server, test by test. */
type Verdicts = Readonly<Record<"PASS" | "FAIL" | "SKIP", ReadonlyArray<string>>>

const verdictsOf = (output: string): Verdicts => {
  const verdicts = { PASS: [] as Array<string>, FAIL: [] as Array<string>, SKIP: [] as Array<string> }
  for (const [, verdict, name] of output.matchAll(/^ *--- (PASS|FAIL|SKIP): (\S+)/gm)) {
    verdicts[verdict as keyof Verdicts].push(name!)
  }
  return verdicts
}

describe("franz-go's own tests", () => {
  let server: ServerProcess

  beforeAll(async () => {
    // One test has a topic with batches of 8 MiB, another one sends zeros, which compress a thousandfold.
    server = await ServerProcess.start({
      env: { LOGBROOK_LIMITS_RECORD_BATCH_BYTES_MAX: "10MiB", LOGBROOK_LIMITS_DECOMPRESSION_RATIO_MAX: "2000" }
    })
  })
  afterAll(() => server?.dispose())

  it("kgo: produces, reads, and copies within groups and transactions", async () => {
    const args = ["-test.v", `-test.timeout=${timeoutS}s`, `-test.skip=^(${leftOut.join("|")})$`]
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        KGO_SEEDS: server.kafka,
        KGO_TEST_RF: "1",
        KGO_TEST_RECORDS: "5000",
        KGO_LOG_LEVEL: "none"
      }
    })
    let output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
    const [code] = (await once(child, "close")) as [number | null]
    const { PASS, FAIL, SKIP } = verdictsOf(output)
    expect(FAIL, output).toEqual([])
    expect(SKIP.toSorted()).toEqual(absent.toSorted())
    for (const needed of ["TestTxnEtl", "TestTxnEtl/cooperative-sticky/static", "TestGroupETL", "TestClient_Produce"]) {
      expect(PASS).toContain(needed)
    }
    expect(code, output.slice(-2000)).toBe(0)
  })
})
