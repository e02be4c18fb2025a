import { createStream, startLogbrook } from "../servers/logbrook.ts"
import { cpuMs, deviceBytes, DeviceWrites, pause } from "../servers/processes.ts"
import { thousands } from "../stats.ts"
import type { Bench, Scenario } from "./Scenario.ts"

const partitions = 16
const payloadBytes = 100
const stream = "sensors"
const mib = 1024 * 1024
const settledMs = 120_000

interface Rate {
  readonly perSecond: number
  readonly durationMs: number
  /** So small that some segments are rolled and settled meanwhile. */
  readonly segmentBytes: number
}

const rates: ReadonlyArray<Rate> = [
  { perSecond: 1000, durationMs: 40_000, segmentBytes: 4 * mib },
  { perSecond: 10_000, durationMs: 20_000, segmentBytes: 16 * mib },
  { perSecond: 50_000, durationMs: 20_000, segmentBytes: 64 * mib }
]

interface Written {
  readonly perSecond: number
  /** Device writes per payload byte: of the journal, and of the workers that settle. */
  readonly journal: number
  readonly settling: number
  /** What the device took meanwhile from everybody, the file system's own journal included. */
  readonly device: number
  readonly unsettledBytes: number
  readonly settledBytes: number
  readonly segments: number
  readonly serverCpuUs: number
}

const metricsOf = async (httpPort: number): Promise<(name: string) => number> => {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text()
  return (name) => Number(new RegExp(`^logbrook_settle_${name} ([0-9.e+]+)$`, "m").exec(text)?.[1] ?? 0)
}

/** Waits until no closed segment waits. */
const allSettled = async (httpPort: number): Promise<(name: string) => number> => {
  const deadline = performance.now() + settledMs
  for (;;) {
    const metric = await metricsOf(httpPort)
    if (metric("segments_unsettled") === 0) return metric
    if (performance.now() > deadline) throw new Error(`segments are not settled within ${settledMs} ms`)
    await pause(100)
  }
}

const measure = async ({ load, isQuick, serverCpus }: Bench, rate: Rate): Promise<Written> => {
  const { perSecond, segmentBytes } = rate
  const settings = { LOGBROOK_JOURNAL_SEGMENT_BYTES: String(segmentBytes) }
  const server = await startLogbrook(serverCpus, [], undefined, { settings })
  const { mqttPort, kafkaPort, httpPort, pid } = server
  const writes = new DeviceWrites(pid)
  try {
    await createStream(server, { name: stream, filters: ["sensors/+/data"], partitions })
    const options = { mqttPort, kafkaPort, topic: stream, partitions, connections: 100, payloadBytes, fetches: false }
    await load.call("runPaced", { ...options, perSecond, durationMs: 1000 })
    const before = writes.read()
    const deviceBefore = deviceBytes(server.dataDir) ?? NaN
    const cpu = cpuMs(pid)
    const durationMs = isQuick ? 3000 : rate.durationMs
    const { messages } = await load.call("runPaced", { ...options, perSecond, durationMs })
    const after = writes.read()
    const device = ((deviceBytes(server.dataDir) ?? NaN) - deviceBefore) / (messages * payloadBytes)
    const serverCpuUs = ((cpuMs(pid) - cpu) * 1000) / messages
    const metric = await allSettled(httpPort)
    const [bytesIn, bytesOut, segments] = [
      metric("bytes_in_total"),
      metric("bytes_out_total"),
      metric("segments_total")
    ]
    // What a message takes where it was written, from the journal's files that were settled; and where it ended up.
    const unsettledBytes = metric("records_total") === 0 ? NaN : bytesIn / metric("records_total")
    return {
      perSecond,
      journal: (after.own - before.own) / (messages * payloadBytes),
      settling: writes.read().children / (metric("records_total") * payloadBytes),
      device,
      unsettledBytes,
      settledBytes: bytesOut / metric("records_total"),
      segments,
      serverCpuUs
    }
  } finally {
    writes.stop()
    await server.stop()
  }
}

const shown = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : "none")

/** What steady loads of 100 B messages over 16 partitions write to the device and leave on it, before and after settling. */
export const deviceWrites: Scenario = async (bench) => {
  const runs: Array<Written> = []
  for (const rate of rates) runs.push(await measure(bench, rate))
  const rows = runs.map((run) => [
    thousands(run.perSecond),
    run.journal.toFixed(1),
    shown(run.settling, 2),
    shown(run.device, 1),
    shown(run.unsettledBytes, 0),
    shown(run.settledBytes, 0),
    String(run.segments),
    run.serverCpuUs.toFixed(1)
  ])
  const columns = [
    "messages/s",
    "write_bytes per payload byte, journal",
    "of settling",
    "of all on this device",
    "bytes stored per message",
    "settled",
    "segments settled",
    "CPU µs/msg"
  ]
  const bars = runs.flatMap(({ perSecond, journal, settledBytes }) => [
    {
      what: `written to the device at ${thousands(perSecond)}/s`,
      measured: journal,
      unit: "bytes per payload byte",
      bound: undefined
    },
    {
      what: `stored per message at ${thousands(perSecond)}/s, settled`,
      measured: settledBytes,
      unit: "bytes",
      bound: undefined
    }
  ])
  const title = `device-writes: ${payloadBytes} B payload, ${partitions} partitions, QoS 1`
  return { scenario: "device-writes", tables: [{ title, columns, rows }], bars, raw: runs }
}
