import { createWriteStream, rmSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { kafkaVersion, startKafka } from "../servers/kafka.ts"
import { librdkafkaVersion, runKcat } from "../servers/kcat.ts"
import { startLogbrook } from "../servers/logbrook.ts"
import { cpuMs, rssBytes } from "../servers/processes.ts"
import { median, quantile, thousands } from "../stats.ts"
import { fetchWarm } from "./fetchWarm.ts"
import type { Bar, Bench, Scenario, Table } from "./Scenario.ts"

const partitions = 4
const valueBytes = 1000
const recordsPerBatch = 64
/** Many small requests under way, and few large ones. */
const produceShapes: ReadonlyArray<ProduceShape> = [
  { batchRecords: 16, connections: 32 },
  { batchRecords: recordsPerBatch, connections: 4 }
]
const own = "logbrook"
/** The load's batches have a fixed time, which may lie ahead. */
const anyTime = { "message.timestamp.after.max.ms": "9223372036854775807" }

interface ProduceShape {
  readonly batchRecords: number
  readonly connections: number
}

/** A topic of a server, and what its server promises when it acknowledges. */
interface Contestant {
  readonly name: string
  readonly pid: number
  readonly kafkaPort: number
  readonly config: Readonly<Record<string, string>>
}

interface Pass {
  readonly mbPerSecond: number
  readonly cpuMsPerMb: number
  readonly rssMb: number
}

/** Of one way to load the servers, the passes of each contestant, round by round. */
type Passes = Map<string, Map<string, Array<Pass>>>

interface Work {
  readonly what: string
  readonly run: (
    contestant: Contestant,
    round: number
  ) => Promise<{ readonly bytes: number; readonly elapsedMs: number }>
}

/** Lines of `valueBytes`, for kcat to produce one record from each. */
const writeLines = async (file: string, lines: number): Promise<void> => {
  const block = Buffer.from(`${"x".repeat(valueBytes)}\n`.repeat(1000))
  const stream = createWriteStream(file)
  for (let line = 0; line < lines; line += 1000) if (!stream.write(block)) await once(stream, "drain")
  stream.end()
  await once(stream, "close")
}

const topicOf = ({ name }: Contestant, round: number): string => `${name.replaceAll(/\W+/g, "-")}-${round + 1}`

/** The same record batches by a plain client: `connections` of them, each with one request under way. */
const produceByUs = ({ load }: Bench, records: number, { batchRecords, connections }: ProduceShape): Work => ({
  what: `produce, acks=all, batches of ${batchRecords} KB, ${connections} at a time, our client`,
  run: async (contestant, round) => {
    const topic = `${topicOf(contestant, round)}-${batchRecords}`
    await load.call("createTopic", { port: contestant.kafkaPort, name: topic, partitions, config: contestant.config })
    const batches = Math.floor(records / batchRecords)
    const shape = { partitions, connections, recordsPerBatch: batchRecords, valueBytes, batches }
    return load.call("produceAll", { port: contestant.kafkaPort, topic, ...shape })
  }
})

const produceByKcat = ({ load, clientCpus }: Bench, records: number, file: string): Work => ({
  what: "produce, acks=all, kcat (librdkafka)",
  run: async (contestant, round) => {
    const { kafkaPort: port, config } = contestant
    const topic = `${topicOf(contestant, round)}-kcat`
    await load.call("createTopic", { port, name: topic, partitions, config })
    const args = ["-P", "-b", `127.0.0.1:${port}`, "-t", topic, "-X", "acks=all", "-l", file]
    return { bytes: records * valueBytes, elapsedMs: await runKcat(clientCpus, args) }
  }
})

/** What was produced in the same round, just before, again and again: from the page cache, or from memory. */
const fetchByUs = ({ load }: Bench): Work => ({
  what: `fetch, warm, batches of ${recordsPerBatch} KB, our client`,
  run: (contestant, round) => {
    const topic = `${topicOf(contestant, round)}-${recordsPerBatch}`
    return fetchWarm(load, { port: contestant.kafkaPort, topic, partitions })
  }
})

const fetchByKcat = ({ clientCpus }: Bench, records: number): Work => ({
  what: "fetch, warm, kcat (librdkafka)",
  run: async (contestant, round) => {
    const topic = `${topicOf(contestant, round)}-${recordsPerBatch}`
    const args = ["-C", "-b", `127.0.0.1:${contestant.kafkaPort}`, "-t", topic, "-o", "beginning", "-e", "-q"]
    const elapsedMs = await runKcat(clientCpus, [...args, "-f", "%o", "-X", "check.crcs=false"])
    return { bytes: records * valueBytes, elapsedMs }
  }
})

const timed = async (contestant: Contestant, work: Work, round: number): Promise<Pass> => {
  const before = cpuMs(contestant.pid)
  const { bytes, elapsedMs } = await work.run(contestant, round)
  return {
    mbPerSecond: bytes / 1000 / elapsedMs,
    cpuMsPerMb: ((cpuMs(contestant.pid) - before) * 1e6) / bytes,
    rssMb: rssBytes(contestant.pid) / 1e6
  }
}

/** Interleaved: in every round each contestant has each work once, in turn. */
const measure = async (bench: Bench, contestants: ReadonlyArray<Contestant>, works: ReadonlyArray<Work>) => {
  const passes: Passes = new Map(works.map(({ what }) => [what, new Map(contestants.map(({ name }) => [name, []]))]))
  for (let round = -1; round < bench.rounds; round++) {
    for (const work of works) {
      for (const contestant of contestants) {
        const pass = await timed(contestant, work, round)
        if (round >= 0) passes.get(work.what)!.get(contestant.name)!.push(pass)
      }
    }
    if (round >= 0) bench.progress(`kafka-peers: round ${round + 1} of ${bench.rounds}`)
  }
  return passes
}

const cpu = (passes: ReadonlyArray<Pass>): number => median(passes.map(({ cpuMsPerMb }) => cpuMsPerMb))

const tableOf = (passes: Passes): Table => ({
  title: `kafka-peers: records of ${valueBytes} B, ${partitions} partitions`,
  columns: ["what", "server", "MB/s", "CPU ms/MB", "RSS MB", "Logbrook is × (range)", "its CPU ×"],
  rows: Array.from(passes).flatMap(([what, byServer]) => {
    const ours = byServer.get(own)!
    return Array.from(byServer, ([name, theirs]) => {
      const ratios = ours.map((pass, index) => pass.mbPerSecond / theirs[index]!.mbPerSecond)
      const range = `${quantile(ratios, 0).toFixed(2)}-${quantile(ratios, 1).toFixed(2)}`
      return [
        what,
        name,
        thousands(median(theirs.map(({ mbPerSecond }) => mbPerSecond))),
        cpu(theirs).toFixed(2),
        thousands(median(theirs.map(({ rssMb }) => rssMb))),
        name === own ? "" : `${median(ratios).toFixed(2)} (${range})`,
        name === own ? "" : (cpu(theirs) / cpu(ours)).toFixed(2)
      ]
    })
  })
})

const barsOf = (passes: Passes): ReadonlyArray<Bar> =>
  Array.from(passes).flatMap(([what, byServer]) =>
    Array.from(byServer, ([name, theirs]): Bar => {
      const ratios = byServer.get(own)!.map((pass, index) => pass.mbPerSecond / theirs[index]!.mbPerSecond)
      return { what: `${what}: MB/s beside ${name}`, measured: median(ratios), unit: "×", bound: undefined }
    }).filter(({ what: each }) => !each.endsWith(own))
  )

/**
 * Logbrook beside Apache Kafka, one node, on the same load: with a topic that is synced to the disk before every answer,
 * as Logbrook's are, and with one as Kafka is shipped, which trusts the page cache and its copies, of which there are none.
 */
export const kafkaPeers: Scenario = async (bench) => {
  const scenario = "kafka-peers"
  if ((await kafkaVersion()) === undefined) {
    bench.progress(`${scenario} is left out: Apache Kafka needs java, mvn and Maven Central`)
    return { scenario, tables: [], bars: [], raw: {} }
  }
  const records = bench.isQuick ? 10_000 : 60_000
  const file = join(tmpdir(), `bench-kcat-peers-${process.pid}.txt`)
  const logbrook = await startLogbrook(bench.serverCpus)
  const kafka = await startKafka(bench.serverCpus)
  try {
    const contestants: ReadonlyArray<Contestant> = [
      { name: own, pid: logbrook.pid, kafkaPort: logbrook.kafkaPort, config: {} },
      { name: "kafka, flush.messages=1", ...kafka, config: { ...anyTime, "flush.messages": "1" } },
      { name: "kafka, page cache", ...kafka, config: anyTime }
    ]
    const works = produceShapes.map((shape) => produceByUs(bench, records, shape)).concat(fetchByUs(bench))
    if ((await librdkafkaVersion()) !== undefined) {
      await writeLines(file, records)
      works.push(produceByKcat(bench, records, file), fetchByKcat(bench, records))
    }
    const passes = await measure(bench, contestants, works)
    const columns = ["server", "from start to the first answer, ms"]
    const rows = [logbrook, kafka].map(({ readyMs }, at) => [at === 0 ? own : "kafka", readyMs.toFixed(0)])
    const starts: Table = { title: "kafka-peers: one start from an empty directory", columns, rows }
    const raw = { passes: Array.from(passes, ([what, each]) => ({ what, passes: Object.fromEntries(each) })) }
    return { scenario, tables: [tableOf(passes), starts], bars: barsOf(passes), raw }
  } finally {
    rmSync(file, { force: true })
    await kafka.stop()
    await logbrook.stop()
  }
}
