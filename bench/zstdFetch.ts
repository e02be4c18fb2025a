// What zstd as it is stored saves: settled MQTT messages, fetched in turn by a client that is given them plain and by one that
// is given them compressed: `node --conditions=source bench/zstdFetch.ts [messages] [rounds]`, after a build. The client does
// not decompress: what that costs it, this does not tell, nor what a network gains.
import { createCipheriv } from "node:crypto"
import { cpus } from "node:os"
import { connectAsync } from "mqtt"
import { LoadProcess } from "./load/LoadProcess.ts"
import { createStream, metric, startLogbrook, type Logbrook } from "./servers/logbrook.ts"
import { cpuMs, until } from "./servers/processes.ts"
import { median } from "./stats.ts"

const topic = "sensors"
const partitions = 4
const publishers = 8
const publishesAtOnce = 250
const segmentBytes = 4 * 1024 * 1024
const settledMsMax = 120_000
/** CPU is told in steps of 10 ms: one pass would take a few of them. */
const passes = 8
/** By the name of a client's software, which says whether it reads zstd. */
const clients = { plain: "librdkafka", zstd: "kgo" } as const
type Client = keyof typeof clients

/** Bytes that do not compress, the same ones every time. */
const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2)).update(Buffer.alloc(1 << 24))

/** A sensor's measurement: names and digits that repeat, values that do not. */
const payloadAt = (n: number): string => {
  const at = (n * 613) % (noise.length - 8)
  const [temperature, humidity] = [noise.readUInt16LE(at) % 4000, noise.readUInt16LE(at + 2) % 1000]
  return `{"device":"sensor-${noise.readUInt16LE(at + 4) % 1000}","temperature":${temperature / 100},"humidity":${humidity / 10}}`
}

const publish = async ({ mqttPort }: Logbrook, messages: number): Promise<void> => {
  const perPublisher = Math.ceil(messages / publishers)
  const one = async (_: unknown, publisher: number): Promise<void> => {
    const client = await connectAsync(`mqtt://127.0.0.1:${mqttPort}`, { clientId: `device-${publisher}` })
    for (let n = 0; n < perPublisher; n += publishesAtOnce) {
      const payloads = Array.from({ length: publishesAtOnce }, (__, i) => payloadAt(publisher * perPublisher + n + i))
      await Promise.all(payloads.map((each) => client.publishAsync(`sensors/${publisher}/data`, each, { qos: 1 })))
    }
    await client.endAsync()
  }
  await Promise.all(Array.from({ length: publishers }, one))
}

const figures = { plain: new Map<string, Array<number>>(), zstd: new Map<string, Array<number>>() }

const measure = async (server: Logbrook, load: LoadProcess, client: Client): Promise<void> => {
  const before = cpuMs(server.pid)
  const sum = { bytes: 0, records: 0, elapsedMs: 0 }
  for (let pass = 0; pass < passes; pass++) {
    const options = { port: server.kafkaPort, topic, partitions, connections: 2, software: clients[client] }
    const { bytes, records, elapsedMs } = await load.call("fetchAll", options)
    sum.bytes += bytes
    sum.records += records
    sum.elapsedMs += elapsedMs
  }
  const found = {
    "CPU ns a record": ((cpuMs(server.pid) - before) * 1e6) / sum.records,
    "M records/s": sum.records / sum.elapsedMs / 1000,
    "bytes a record": sum.bytes / sum.records
  }
  for (const [name, figure] of Object.entries(found)) {
    figures[client].set(name, [...(figures[client].get(name) ?? []), figure])
  }
}

const run = async (messages: number, rounds: number): Promise<void> => {
  const settings = { LOGBROOK_JOURNAL_SEGMENT_BYTES: String(segmentBytes) }
  const server = await startLogbrook("0", [], undefined, { settings })
  const load = new LoadProcess(cpus().length > 1 ? "1" : "0")
  try {
    await createStream(server, { name: topic, filters: ["sensors/#"], partitions })
    await publish(server, messages)
    const isSettled = async () => (await metric(server, "logbrook_settle_segments_unsettled")) === 0
    await until("all is settled", settledMsMax, isSettled)
    console.log(`${await metric(server, "logbrook_settle_segments_total")} segments are settled`)
    for (let round = -1; round < rounds; round++) {
      const order: ReadonlyArray<Client> = round % 2 === 0 ? ["plain", "zstd"] : ["zstd", "plain"]
      for (const client of order) await measure(server, load, client)
      // The first round warms up.
      if (round < 0) for (const client of order) figures[client].clear()
    }
  } finally {
    await server.stop()
    await load.stop()
  }
  for (const client of ["plain", "zstd"] as const) {
    for (const [name, values] of figures[client]) {
      console.log(
        `${client}: ${name} ${median(values).toFixed(1)} (${values.map((each) => each.toFixed(1)).join(" ")})`
      )
    }
  }
}

const [messages = "400000", rounds = "5"] = process.argv.slice(2)
await run(Number(messages), Number(rounds))
