// Apache Kafka and this server beside each other: both get the same requests, and their responses are compared field by field.
// Every difference must be in `known.ts`, with its reason, and everything in there must have been seen.
// `npm run differential [-- API]`: only the cases of this API. Kafka comes from Maven Central, once.
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { kafkaVersion, startKafka } from "../../bench/servers/kafka.ts"
import { startLogbrook } from "../../bench/servers/logbrook.ts"
import { until } from "../../bench/servers/processes.ts"
import { cases, making, other, plain, type Case } from "./cases.ts"
import { differences, normal, type Difference } from "./compare.ts"
import { knownDifferences } from "./known.ts"
import { Side } from "./Side.ts"

const version = "4.3.1"
const readyMsMax = 60_000
const metadataVersion = 12
/** As Kafka is shipped, but for what this server has otherwise unless it is set. */
const properties = ["auto.create.topics.enable=false"]

/** Kafka's topics have their leaders, and groups their coordinator, some time after they were asked for. */
const ready = async (side: Side): Promise<void> => {
  await until(`${side.name} leads its topics`, readyMsMax, async () => {
    const names = [plain, other].map((name) => ({ name }))
    const { topics = [] } = (await side.ask(Metadata, metadataVersion, { topics: names })) ?? {}
    if (topics.length !== 2 || topics.some(({ errorCode }) => errorCode !== 0)) return false
    side.leaderEpoch = topics[0]!.partitions[0]!.leaderEpoch
    return true
  })
  await until(`${side.name} coordinates groups`, readyMsMax, async () => {
    const found = await side.ask(FindCoordinator, 4, { coordinatorKeys: ["warm"] })
    return found?.coordinators[0]?.errorCode === 0
  })
  await until(`${side.name} has producer ids`, readyMsMax, async () => {
    const given = await side.ask(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 })
    return given?.errorCode === 0
  })
}

interface Outcome {
  readonly requests: number
  readonly unknown: ReadonlyArray<string>
  readonly seen: ReadonlySet<(typeof knownDifferences)[number]>
}

const knownFor = ({ api, what }: Case, { path }: Difference) =>
  knownDifferences.find((known) => known.api === api.name && known.what.test(what) && known.path.test(path))

const compareAll = async (kafka: Side, logbrook: Side, wanted: ReadonlyArray<Case>): Promise<Outcome> => {
  const unknown: Array<string> = []
  const seen = new Set<(typeof knownDifferences)[number]>()
  for (const each of wanted) {
    const theirs = normal(kafka, await each.send(kafka))
    const ours = normal(logbrook, await each.send(logbrook))
    for (const difference of differences(theirs, ours)) {
      const known = knownFor(each, difference)
      if (known !== undefined) seen.add(known)
      else {
        const { path, kafka: one, logbrook: two } = difference
        unknown.push(
          `${each.api.name} ${each.version}, ${each.what}: ${path || "the answer"} is ${one} of Kafka's, and ${two}`
        )
      }
    }
  }
  return { requests: wanted.length, unknown, seen }
}

const run = async (only: string | undefined): Promise<boolean> => {
  if ((await kafkaVersion(version)) === undefined)
    throw new Error(`Apache Kafka ${version} cannot be had, or there is no Java`)
  const kafkaServer = await startKafka("0", { version, properties })
  const logbrookServer = await startLogbrook("1")
  const [kafka, logbrook] = [new Side("kafka", kafkaServer.kafkaPort), new Side("logbrook", logbrookServer.kafkaPort)]
  try {
    for (const each of making) for (const side of [kafka, logbrook]) await each.send(side)
    await Promise.all([kafka, logbrook].map(ready))
    const wanted = cases().filter(({ api }) => only === undefined || api.name === only)
    const { requests, unknown, seen } = await compareAll(kafka, logbrook, wanted)
    const unseen = only === undefined ? knownDifferences.filter((known) => !seen.has(known)) : []
    for (const line of unknown) console.log(line)
    for (const { api, what, path } of unseen) console.log(`not seen any more: ${api}, ${String(what)}, ${String(path)}`)
    console.log(`${requests} requests; ${seen.size} known differences, ${unknown.length} others`)
    return requests > 0 && unknown.length === 0 && unseen.length === 0
  } finally {
    for (const side of [kafka, logbrook]) side.close()
    await logbrookServer.stop()
    await kafkaServer.stop()
  }
}

process.exitCode = (await run(process.argv[2])) ? 0 : 1
