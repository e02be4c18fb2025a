import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type CertificateFiles, writeCertificate } from "../servers/certificate.ts"
import { createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { mosquittoVersion, startMosquitto } from "../servers/mosquitto.ts"
import { cpuMs, freePort } from "../servers/processes.ts"
import type { Server } from "../servers/Server.ts"
import { median, quantile, thousands } from "../stats.ts"
import { sample, type Sample } from "./mqttThroughput.ts"
import type { Bar, Bench, Outcome, Scenario } from "./Scenario.ts"
import { mqttShapes } from "./shapes.ts"

const loadName = "qos1-100"
const topicPartitions = 16
const kafkaPartitions = 4
const valueBytes = 1000
const recordsPerBatch = 64

/** A server's listener under load. */
interface Door {
  readonly name: string
  readonly server: Server
  readonly port: number
  readonly isTls: boolean
}

interface Own {
  readonly server: Logbrook
  readonly mqttTlsPort: number
  readonly kafkaTlsPort: number
}

const startOwn = async ({ serverCpus }: Bench, directory: string, { cert, key }: CertificateFiles): Promise<Own> => {
  const [mqttTlsPort, kafkaTlsPort] = [await freePort(), await freePort()]
  const file = join(directory, "logbrook.yaml")
  const yaml =
    `tls: { cert: ${JSON.stringify(cert)}, key: ${JSON.stringify(key)} }\nlisteners:\n` +
    `  mqtts: { protocol: mqtt, port: ${mqttTlsPort}, tls: true }\n` +
    `  kafkas: { protocol: kafka, port: ${kafkaTlsPort}, tls: true }\n`
  writeFileSync(file, yaml)
  const server = await startLogbrook(serverCpus, [], undefined, { settings: { LOGBROOK_CONFIG: file } })
  await createStream(server, { name: "sensors", filters: ["sensors/+/data"], partitions: topicPartitions })
  return { server, mqttTlsPort, kafkaTlsPort }
}

const mosquittoDoors = async ({ serverCpus }: Bench, certificate: CertificateFiles): Promise<ReadonlyArray<Door>> => {
  if ((await mosquittoVersion()) === undefined) return []
  const tls = { ...certificate, port: await freePort() }
  const server = await startMosquitto(serverCpus, { isPersistent: false, isUnbounded: false, tls })
  return [
    { name: "mosquitto", server, port: server.mqttPort, isTls: false },
    { name: "mosquitto, TLS", server, port: tls.port, isTls: true }
  ]
}

const range = (ratios: ReadonlyArray<number>): string =>
  `${median(ratios).toFixed(2)} (${quantile(ratios, 0).toFixed(2)}-${quantile(ratios, 1).toFixed(2)})`

/** MQTT: every round loads each listener once. */
const mqttSamples = async (bench: Bench, doors: ReadonlyArray<Door>): Promise<ReadonlyMap<string, Array<Sample>>> => {
  const { shape } = mqttShapes.get(loadName)!
  const samples = new Map<string, Array<Sample>>(doors.map(({ name }) => [name, []]))
  for (const { name, port, isTls } of doors)
    await bench.load.call("connect", { name, port, shape: { ...shape, isTls } })
  for (let round = -1; round < bench.rounds; round++) {
    for (const { name, server } of doors) {
      const taken = await sample(bench, { ...server, name }, bench.sliceMs)
      if (round >= 0) samples.get(name)!.push(taken)
    }
    if (round >= 0) bench.progress(`tls: MQTT, round ${round + 1} of ${bench.rounds}`)
  }
  for (const { name } of doors) await bench.load.call("disconnect", { name })
  return samples
}

const mqttTable = (samples: ReadonlyMap<string, ReadonlyArray<Sample>>) => {
  const rows = Array.from(samples, ([name, taken]) => {
    const plain = samples.get(name.replace(", TLS", ""))!
    const ratios = taken.map((each, index) => each.serverCpuUs / plain[index]!.serverCpuUs)
    return [
      name,
      thousands(median(taken.map(({ perSecond }) => perSecond))),
      median(taken.map(({ serverCpuUs }) => serverCpuUs)).toFixed(2),
      median(taken.map(({ clientCpuUs }) => clientCpuUs)).toFixed(2),
      plain === taken ? "" : range(ratios),
      median(taken.map(({ foreignCores }) => foreignCores)).toFixed(2)
    ]
  })
  const columns = ["listener", "messages/s", "CPU µs/msg", "client µs/msg", "its CPU × plain (range)", "foreign cores"]
  return { title: "tls: QoS 1, 100 B, 200 connections", columns, rows }
}

interface Pass {
  readonly mbPerSecond: number
  readonly cpuUsPerMb: number
}

const passOf = async (
  server: Logbrook,
  run: () => Promise<{ readonly bytes: number; readonly elapsedMs: number }>
): Promise<Pass> => {
  const before = cpuMs(server.pid)
  const { bytes, elapsedMs } = await run()
  return { mbPerSecond: bytes / 1000 / elapsedMs, cpuUsPerMb: ((cpuMs(server.pid) - before) * 1e9) / bytes }
}

/** Kafka: records are produced and fetched by the plain listener and by the other in turn. */
const kafkaPasses = async (bench: Bench, { server, kafkaTlsPort }: Own): Promise<ReadonlyMap<string, Array<Pass>>> => {
  const passes = new Map<string, Array<Pass>>()
  const batches = Math.floor((bench.isQuick ? 10_000 : 100_000) / recordsPerBatch)
  for (let round = -1; round < bench.rounds; round++) {
    for (const isTls of [false, true]) {
      const topic = `produced-${round + 1}-${isTls ? "tls" : "plain"}`
      await createStream(server, { name: topic, filters: [], partitions: kafkaPartitions })
      const at = { port: isTls ? kafkaTlsPort : server.kafkaPort, isTls, topic, partitions: kafkaPartitions }
      const producing = { ...at, connections: 4, recordsPerBatch, valueBytes, batches }
      const end = isTls ? ", TLS" : ""
      const produced = await passOf(server, () => bench.load.call("produceAll", producing))
      const fetched = await passOf(server, () => bench.load.call("fetchAll", { ...at, connections: 2 }))
      if (round < 0) continue
      for (const [name, pass] of [
        [`produce${end}`, produced],
        [`fetch${end}`, fetched]
      ] as const) {
        passes.set(name, [...(passes.get(name) ?? []), pass])
      }
    }
    if (round >= 0) bench.progress(`tls: Kafka, round ${round + 1} of ${bench.rounds}`)
  }
  return passes
}

const kafkaTable = (passes: ReadonlyMap<string, ReadonlyArray<Pass>>) => {
  const rows = ["produce", "produce, TLS", "fetch", "fetch, TLS"].map((name) => {
    const [taken, plain] = [passes.get(name)!, passes.get(name.replace(", TLS", ""))!]
    const ratios = taken.map((each, index) => each.cpuUsPerMb / plain[index]!.cpuUsPerMb)
    return [
      name,
      thousands(median(taken.map(({ mbPerSecond }) => mbPerSecond))),
      thousands(median(taken.map(({ cpuUsPerMb }) => cpuUsPerMb))),
      taken === plain ? "" : range(ratios)
    ]
  })
  const columns = ["what", "MB/s", "CPU µs/MB", "its CPU × plain (range)"]
  return { title: "tls: Kafka, records of 1 KB in batches of 64 KB, 4 partitions, warm", columns, rows }
}

/** MQTT and Kafka over TLS 1.3 beside plain text, and Mosquitto beside both. */
export const tls: Scenario = async (bench): Promise<Outcome> => {
  const directory = mkdtempSync(join(tmpdir(), "bench-tls-"))
  const certificate = writeCertificate(directory)
  const own = await startOwn(bench, directory, certificate)
  const theirs = await mosquittoDoors(bench, certificate)
  const doors: ReadonlyArray<Door> = [
    { name: "logbrook", server: own.server, port: own.server.mqttPort, isTls: false },
    { name: "logbrook, TLS", server: own.server, port: own.mqttTlsPort, isTls: true },
    ...theirs
  ]
  try {
    const samples = await mqttSamples(bench, doors)
    const passes = await kafkaPasses(bench, own)
    const [ours, peers] = [samples.get("logbrook, TLS")!, samples.get("mosquitto, TLS")]
    const bars: ReadonlyArray<Bar> =
      peers === undefined
        ? []
        : [
            {
              what: "tls: messages/s beside mosquitto with TLS",
              measured: median(ours.map((each, index) => each.perSecond / peers[index]!.perSecond)),
              unit: "×",
              bound: undefined
            }
          ]
    const raw = { mqtt: Object.fromEntries(samples), kafka: Object.fromEntries(passes) }
    return { scenario: "tls", tables: [mqttTable(samples), kafkaTable(passes)], bars: [...bars], raw }
  } finally {
    for (const server of new Set(doors.map((door) => door.server))) await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}
