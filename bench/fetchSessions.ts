// What fetch sessions save: a client fetches many partitions, of which one has a record each time, in turn with all of them in
// every request and in a session: `node --conditions=source bench/fetchSessions.ts [partitions] [rounds]`, after a build. What a
// session saves the client, this does not tell, nor what a long poll costs: every fetch is answered at once.
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import type { RequestInputOf } from "@logbrook/protocols/kafka/Schema"
import { KafkaClient } from "./load/KafkaClient.ts"
import { produceAll } from "./load/kafkaProduce.ts"
import { createStream, metric, startLogbrook, type Logbrook } from "./servers/logbrook.ts"
import { cpuMs } from "./servers/processes.ts"
import { median } from "./stats.ts"

const version = 12
const partitionsPerStream = 50
const valueBytes = 100
/** CPU is told in steps of 10 ms. */
const roundMsMin = 2000

type Kind = "full" | "session"
type Topics = RequestInputOf<typeof Fetch>["topics"]

const topicsOf = (partitions: number): Topics =>
  Array.from({ length: Math.ceil(partitions / partitionsPerStream) }, (_, stream) => ({
    topic: `fetched-${stream}`,
    partitions: Array.from(
      { length: Math.min(partitionsPerStream, partitions - stream * partitionsPerStream) },
      (__, partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1_048_576 })
    )
  }))

const bytesOf = async (server: Logbrook): Promise<number> =>
  (await metric(server, "logbrook_kafka_received_bytes_total")) +
  (await metric(server, "logbrook_kafka_sent_bytes_total"))

interface Round {
  readonly cpuUs: number
  readonly wireBytes: number
}

/** Fetches again and again the one record that there is: in a session its partition is asked for anew each time. */
const round = async (server: Logbrook, kind: Kind, topics: Topics): Promise<Round> => {
  const client = await KafkaClient.connect(server.kafkaPort)
  const fixed = { maxWaitMs: 0, minBytes: 0, maxBytes: 8_388_608 }
  const full = { ...fixed, topics, sessionEpoch: -1 }
  const { sessionId } = await client.request(Fetch, version, kind === "full" ? full : { ...full, sessionEpoch: 0 })
  const again = [{ ...topics[0]!, partitions: topics[0]!.partitions.slice(0, 1) }]
  const [beganMs, beganCpuMs, beganBytes] = [performance.now(), cpuMs(server.pid), await bytesOf(server)]
  let count = 0
  for (; performance.now() - beganMs < roundMsMin; count++) {
    const request = kind === "full" ? full : { ...fixed, sessionId, sessionEpoch: count + 1, topics: again }
    const { errorCode, responses } = await client.request(Fetch, version, request)
    const answered = responses.reduce((sum, { partitions }) => sum + partitions.length, 0)
    if (errorCode !== 0 || (kind === "session" && answered !== 1)) throw new Error(`${kind}: ${errorCode}, ${answered}`)
  }
  const cpuUs = ((cpuMs(server.pid) - beganCpuMs) * 1000) / count
  const wireBytes = ((await bytesOf(server)) - beganBytes) / count
  client.close()
  return { cpuUs, wireBytes }
}

const run = async (partitions: number, rounds: number): Promise<void> => {
  const server = await startLogbrook("0")
  const found: Record<Kind, Array<Round>> = { full: [], session: [] }
  try {
    const topics = topicsOf(partitions)
    for (const { topic, partitions: own } of topics) {
      await createStream(server, { name: topic!, filters: [], partitions: own.length })
    }
    const one = { partitions: 1, connections: 1, recordsPerBatch: 1, valueBytes, batches: 1 }
    await produceAll({ port: server.kafkaPort, topic: "fetched-0", ...one })
    for (let n = -1; n < rounds; n++) {
      for (const kind of n % 2 === 0 ? (["full", "session"] as const) : (["session", "full"] as const)) {
        const figures = await round(server, kind, topics)
        // The first of each warms up.
        if (n >= 0) found[kind].push(figures)
      }
    }
  } finally {
    await server.stop()
  }
  for (const kind of ["full", "session"] as const) {
    const cpuUs = found[kind].map((figures) => figures.cpuUs)
    const each = cpuUs.map((value) => value.toFixed(1)).join(" ")
    const wireBytes = median(found[kind].map((figures) => figures.wireBytes))
    console.log(
      `${partitions} partitions, ${kind}: CPU µs/fetch ${median(cpuUs).toFixed(1)} (${each})  ${wireBytes.toFixed(0)} B`
    )
  }
}

await run(Number(process.argv[2] ?? "1000"), Number(process.argv[3] ?? "5"))
