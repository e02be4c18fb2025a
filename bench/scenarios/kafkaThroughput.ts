import { createWriteStream, rmSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { librdkafkaVersion, runKcat } from "../servers/kcat.ts"
import { createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { cpuMs } from "../servers/processes.ts"
import { median, thousands } from "../stats.ts"
import type { Bar, Bench, Scenario } from "./Scenario.ts"

const partitions = 4
const valueBytes = 1000
const recordsPerBatch = 64

/** Throughput of one pass, and the server's CPU for it. */
interface Pass {
  readonly mbPerSecond: number
  readonly recordsPerSecond: number
  readonly cpuUsPerMb: number
}

type Passes = Map<string, Array<Pass>>

const timed = async (
  server: Logbrook,
  run: () => Promise<{ readonly bytes: number; readonly records: number; readonly elapsedMs: number }>
): Promise<Pass> => {
  const before = cpuMs(server.pid)
  const { bytes, records, elapsedMs } = await run()
  return {
    mbPerSecond: bytes / 1000 / elapsedMs,
    recordsPerSecond: (records * 1000) / elapsedMs,
    cpuUsPerMb: ((cpuMs(server.pid) - before) * 1e9) / bytes
  }
}

const keep = (passes: Passes, name: string, pass: Pass): void => {
  passes.set(name, [...(passes.get(name) ?? []), pass])
}

/** Lines of `valueBytes`, for kcat to produce one record from each. */
const writeLines = async (file: string, lines: number): Promise<void> => {
  const block = Buffer.from(`${"x".repeat(valueBytes)}\n`.repeat(1000))
  const stream = createWriteStream(file)
  for (let line = 0; line < lines; line += 1000) if (!stream.write(block)) await once(stream, "drain")
  stream.end()
  await once(stream, "close")
}

const produce = async (bench: Bench, server: Logbrook, records: number, passes: Passes): Promise<void> => {
  const { kafkaPort } = server
  const isKcatHere = (await librdkafkaVersion()) !== undefined
  const file = join(tmpdir(), `bench-kcat-${process.pid}.txt`)
  if (isKcatHere) await writeLines(file, records)
  const broker = `127.0.0.1:${kafkaPort}`
  for (let round = -1; round < bench.rounds; round++) {
    const name = `produced-${round + 1}`
    await createStream(server, { name, filters: [], partitions })
    const options = { port: kafkaPort, topic: name, partitions, connections: 4, recordsPerBatch, valueBytes }
    const batches = Math.floor(records / recordsPerBatch)
    const raw = await timed(server, () => bench.load.call("produceAll", { ...options, batches }))
    if (round >= 0) keep(passes, `produce, 64 KB batches, our client`, raw)
    if (!isKcatHere) continue
    const byKcat = await timed(server, async () => {
      const args = ["-P", "-b", broker, "-t", `by-kcat-${round + 1}`, "-X", "acks=all", "-l", file]
      await createStream(server, { name: `by-kcat-${round + 1}`, filters: [], partitions })
      return { bytes: records * valueBytes, records, elapsedMs: await runKcat(bench.clientCpus, args) }
    })
    if (round >= 0) keep(passes, `produce, kcat (librdkafka), acks=all`, byKcat)
    bench.progress(`kafka: produce, round ${round + 1} of ${bench.rounds}`)
  }
  rmSync(file, { force: true })
}

/** All of one stream again and again; the first pass of each client warms up. */
const fetchProduced = async (bench: Bench, server: Logbrook, passes: Passes): Promise<void> => {
  const { kafkaPort } = server
  const topic = "produced-0"
  const isKcatHere = (await librdkafkaVersion()) !== undefined
  const options = { port: kafkaPort, topic, partitions, connections: 2 }
  for (let round = -1; round < bench.rounds; round++) {
    const raw = await timed(server, () => bench.load.call("fetchAll", options))
    if (round >= 0) keep(passes, fetchByUs, raw)
    if (!isKcatHere) continue
    const { bytes, records } = await bench.load.call("fetchAll", options)
    const args = ["-C", "-b", `127.0.0.1:${kafkaPort}`, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%o"]
    const byKcat = await timed(server, async () => ({
      bytes,
      records,
      elapsedMs: await runKcat(bench.clientCpus, [...args, "-X", "check.crcs=false"])
    }))
    if (round >= 0) keep(passes, "fetch, kcat (librdkafka)", byKcat)
    bench.progress(`kafka: fetch, round ${round + 1} of ${bench.rounds}`)
  }
}

const fetchByUs = "fetch, 64 KB batches, our client"
const fetchMqttByUs = "fetch of MQTT messages of 100 B, our client"

/** Small records that the server has put into frames itself, in batches that it makes for the reader. */
const fetchMqtt = async (bench: Bench, server: Logbrook, passes: Passes): Promise<void> => {
  await createStream(server, { name: "sensors", filters: ["sensors/+/data"], partitions: 16 })
  const shape = { connections: 200, payloadBytes: 100, messagesPerAck: 1, window: 50, refillAt: 1 }
  await bench.load.call("connect", { name: "fill", port: server.mqttPort, shape })
  await bench.load.call("slice", { name: "fill", durationMs: bench.isQuick ? 500 : 3000 })
  await bench.load.call("disconnect", { name: "fill" })
  const options = { port: server.kafkaPort, topic: "sensors", partitions: 16, connections: 2 }
  for (let round = -1; round < bench.rounds; round++) {
    const pass = await timed(server, () => bench.load.call("fetchAll", options))
    if (round >= 0) keep(passes, fetchMqttByUs, pass)
  }
}

/** Produce by our client and librdkafka, and warm fetch of the same streams. */
export const kafkaThroughput: Scenario = async (bench) => {
  const passes: Passes = new Map()
  const server = await startLogbrook(bench.serverCpus)
  try {
    await produce(bench, server, bench.isQuick ? 30_000 : 300_000, passes)
    await fetchProduced(bench, server, passes)
    await fetchMqtt(bench, server, passes)
  } finally {
    await server.stop()
  }
  const mbPerSecond = (name: string) => median((passes.get(name) ?? []).map((pass) => pass.mbPerSecond))
  const columns = ["what", "MB/s", "records/s", "CPU µs/MB"]
  const rows = Array.from(passes, ([name, each]) => [
    name,
    thousands(mbPerSecond(name)),
    thousands(median(each.map((pass) => pass.recordsPerSecond))),
    thousands(median(each.map((pass) => pass.cpuUsPerMb)))
  ])
  const bars = Array.from(passes.keys(), (name): Bar => {
    const bound = name === fetchByUs ? { atLeast: 800 } : undefined
    return { what: name, measured: mbPerSecond(name), unit: "MB/s", bound }
  })
  const title = `kafka: records of ${valueBytes} B, ${partitions} partitions, warm`
  return { scenario: "kafka", tables: [{ title, columns, rows }], bars, raw: Object.fromEntries(passes) }
}
