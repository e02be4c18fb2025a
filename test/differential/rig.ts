// Apache Kafka and this server beside each other: both get the same requests, and their responses are compared field by field.
// Every difference must be in `known.ts`, with its reason, and everything in there must have been seen; every version of every API
// that is served must have been asked.
// `npm run differential [-- NAME…]`: only the cases of these APIs and families. Kafka comes from Maven Central, once.
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { CreateTopics } from "@logbrook/protocols/kafka/messages/19_CreateTopics"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { kafkaVersion, startKafka } from "../../bench/servers/kafka.ts"
import { startLogbrook } from "../../bench/servers/logbrook.ts"
import { pause, stopAll, until } from "../../bench/servers/processes.ts"
import { registry } from "../../packages/server/src/kafka/handlers.ts"
import { type Case, type TopicToMake, versionsOf } from "./Case.ts"
import { differences, normal, type Difference } from "./compare.ts"
import { families } from "./families.ts"
import { other, plain, topicOf } from "./fixtures.ts"
import { knownDifferences, knownFor, type KnownDifference } from "./known.ts"
import { Side } from "./Side.ts"

const version = "4.3.1"
const readyMsMax = 60_000
const againMs = 100
const againMax = 30
const createVersion = 7
const metadataVersion = 12
/** As Kafka is shipped, but for what this server has otherwise unless it is set. */
const properties = [
  "auto.create.topics.enable=false",
  "group.initial.rebalance.delay.ms=500",
  "transaction.max.timeout.ms=3600000"
]

const topics: ReadonlyArray<TopicToMake> = [
  { name: plain, partitions: 3 },
  { name: other, partitions: 1, configs: [["cleanup.policy", "compact"]] },
  ...families.flatMap((family) => family.topics)
]

const make = async (side: Side): Promise<void> => {
  const asked = topics.map(({ name, partitions, configs }) => topicOf(name, partitions, configs))
  const made = await side.need(CreateTopics, createVersion, { topics: asked, timeoutMs: readyMsMax })
  for (const { name, topicId, errorCode } of made.topics) {
    if (errorCode !== 0) throw new Error(`${side.name} makes no topic ${name}: error ${errorCode}`)
    side.topicIds.set(name, topicId)
  }
}

/** Kafka's topics have their leaders, and groups and transactions their coordinators, some time after they were asked for. */
const ready = async (side: Side): Promise<void> => {
  await until(`${side.name} leads its topics`, readyMsMax, async () => {
    const asked = await side.need(Metadata, metadataVersion, { topics: topics.map(({ name }) => ({ name })) })
    if (asked.topics.length !== topics.length || asked.topics.some(({ errorCode }) => errorCode !== 0)) return false
    side.leaderEpoch = asked.topics[0]!.partitions[0]!.leaderEpoch
    return true
  })
  for (const keyType of [0, 1]) {
    await until(`${side.name} coordinates`, readyMsMax, async () => {
      const found = await side.need(FindCoordinator, 4, { keyType, coordinatorKeys: ["warm"] })
      return found.coordinators[0]?.errorCode === 0
    })
  }
  await until(`${side.name} has producer ids`, readyMsMax, async () => {
    const asked = [null, "warm"].map((transactionalId) => ({ transactionalId, transactionTimeoutMs: 60_000 }))
    const given = [await side.need(InitProducerId, 4, asked[0]!), await side.need(InitProducerId, 4, asked[1]!)]
    return given.every(({ errorCode }) => errorCode === 0)
  })
}

interface Outcome {
  readonly asked: ReadonlyArray<Case>
  readonly unknown: ReadonlyArray<string>
  readonly seen: ReadonlySet<KnownDifference>
}

const compareOnce = async (kafka: Side, logbrook: Side, each: Case): Promise<ReadonlyArray<Difference>> => {
  const [theirs, ours] = await Promise.all([kafka, logbrook].map(async (side) => normal(side, await each.send(side))))
  return differences(theirs, ours)
}

const compare = async (kafka: Side, logbrook: Side, each: Case): Promise<ReadonlyArray<Difference>> => {
  const isKnown = (difference: Difference) => knownFor(each, difference) !== undefined
  let found = await compareOnce(kafka, logbrook, each)
  for (let again = 0; each.isEventual === true && again < againMax && !found.every(isKnown); again++) {
    await pause(againMs)
    found = await compareOnce(kafka, logbrook, each)
  }
  return found
}

const compareAll = async (kafka: Side, logbrook: Side, asked: ReadonlyArray<Case>): Promise<Outcome> => {
  const unknown: Array<string> = []
  const seen = new Set<KnownDifference>()
  for (const each of asked) {
    for (const difference of await compare(kafka, logbrook, each)) {
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
  return { asked, unknown, seen }
}

const served: ReadonlyArray<string> = [...registry.handlers.values()].flatMap(({ api, serves }) =>
  versionsOf(serves).map((each) => `${api.name} ${each}`)
)

/** What is wrong with the run, a line each. */
const complaints = ({ asked, unknown, seen }: Outcome, isWhole: boolean): ReadonlyArray<string> => {
  if (!isWhole) return unknown
  const versions = new Set(asked.map((each) => `${each.api.name} ${each.version}`))
  const unasked = served.filter((each) => !versions.has(each)).map((each) => `not asked: ${each}`)
  const unseen = knownDifferences
    .filter((known) => !seen.has(known))
    .map(({ api, what, path }) => `not seen any more: ${api}, ${String(what)}, ${String(path)}`)
  return [...unknown, ...unasked, ...unseen]
}

const casesOf = (names: ReadonlyArray<string>): ReadonlyArray<Case> =>
  families.flatMap(({ name, cases }) =>
    cases().filter(({ api }) => names.length === 0 || names.includes(name) || names.includes(api.name))
  )

/** Both servers with their topics, as long as `use` needs them. */
const withServers = async <A>(use: (kafka: Side, logbrook: Side) => Promise<A>): Promise<A> => {
  const servers: Array<{ readonly stop: () => Promise<void> }> = []
  const sides: Array<Side> = []
  try {
    const kafkaServer = await startKafka("0", { version, properties })
    servers.push(kafkaServer)
    const logbrookServer = await startLogbrook("1")
    servers.push(logbrookServer)
    const [kafka, logbrook] = [new Side("kafka", kafkaServer.kafkaPort), new Side("logbrook", logbrookServer.kafkaPort)]
    sides.push(kafka, logbrook)
    await Promise.all(sides.map(async (side) => ready(await make(side).then(() => side))))
    return await use(kafka, logbrook)
  } finally {
    for (const side of sides) side.close()
    // Also one that has not become ready, and is none of `servers`.
    await stopAll()
    for (const server of servers) await server.stop()
  }
}

const run = async (names: ReadonlyArray<string>): Promise<boolean> => {
  if ((await kafkaVersion(version)) === undefined)
    throw new Error(`Apache Kafka ${version} cannot be had, or there is no Java`)
  const asked = casesOf(names)
  if (asked.length === 0) throw new Error(`no API and no family is named ${names.join(" or ")}`)
  return withServers(async (kafka, logbrook) => {
    const outcome = await compareAll(kafka, logbrook, asked)
    const wrong = complaints(outcome, names.length === 0)
    for (const line of wrong) console.log(line)
    const [apis, versions] = [
      new Set(asked.map(({ api }) => api.name)),
      new Set(asked.map((each) => `${each.api.name} ${each.version}`))
    ]
    const { seen, unknown } = outcome
    const size = `${asked.length} requests of ${apis.size} APIs in ${versions.size} versions`
    console.log(`${size}; ${seen.size} known differences, ${unknown.length} others`)
    return wrong.length === 0
  })
}

process.exitCode = (await run(process.argv.slice(2))) ? 0 : 1
