import type { Slice } from "../load/MqttLoad.ts"
import type { Reading } from "../load/Reader.ts"
import { startAedes } from "../servers/aedes.ts"
import { createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { mosquittoVersion, startMosquitto } from "../servers/mosquitto.ts"
import { childrenCpuMs, cpuMs, machineBusyMs, rssBytes } from "../servers/processes.ts"
import type { Server } from "../servers/Server.ts"
import { median, quantile, thousands } from "../stats.ts"
import type { Bar, Bench, Outcome, Scenario } from "./Scenario.ts"
import type { MqttLoadAsked } from "./shapes.ts"

const partitions = 16
const stream = "sensors"
const filter = "sensors/+/data"

export interface Sample extends Slice {
  readonly perSecond: number
  /** With what the server does later for the slice's messages. */
  readonly serverCpuUs: number
  /** Of it, by the processes that settle what was written. */
  readonly settleCpuUs: number
  readonly clientCpuUs: number
  /** CPU of neither server nor clients, as a share of one core: how noisy the machine was. */
  readonly foreignCores: number
  readonly rssMb: number
}

export const sample = async ({ load }: Bench, server: Server, durationMs: number): Promise<Sample> => {
  const ownBefore = cpuMs(server.pid)
  const childrenBefore = childrenCpuMs(server.pid)
  const busyBefore = machineBusyMs()
  const slice = await load.call("slice", { name: server.name, durationMs })
  const sliceMs = cpuMs(server.pid) - ownBefore + childrenCpuMs(server.pid) - childrenBefore
  const foreignMs = machineBusyMs() - busyBefore - sliceMs - slice.clientCpuMs
  await server.rest?.()
  const childrenMs = childrenCpuMs(server.pid) - childrenBefore
  const serverMs = cpuMs(server.pid) - ownBefore + childrenMs
  return {
    ...slice,
    perSecond: (slice.messages * 1000) / slice.elapsedMs,
    serverCpuUs: (serverMs * 1000) / slice.messages,
    settleCpuUs: (childrenMs * 1000) / slice.messages,
    clientCpuUs: (slice.clientCpuMs * 1000) / slice.messages,
    foreignCores: Math.max(0, foreignMs / slice.elapsedMs),
    rssMb: rssBytes(server.pid) / 1e6
  }
}

const cpuUs = (samples: ReadonlyArray<Sample>): number => median(samples.map((each) => each.serverCpuUs))

const row = (name: string, samples: ReadonlyArray<Sample>, own: ReadonlyArray<Sample>): Array<string> => {
  const of = (pick: (sample: Sample) => number) => samples.map(pick)
  const ratios = own.map((sample, index) => sample.perSecond / samples[index]!.perSecond)
  const spread = `${quantile(ratios, 0).toFixed(2)}-${quantile(ratios, 1).toFixed(2)}`
  return [
    name,
    thousands(median(of((each) => each.perSecond))),
    cpuUs(samples).toFixed(2),
    median(of((each) => each.settleCpuUs)).toFixed(2),
    median(of((each) => each.clientCpuUs)).toFixed(2),
    median(of((each) => each.rssMb)).toFixed(0),
    samples === own ? "" : `${median(ratios).toFixed(2)} (${spread})`,
    samples === own ? "" : (cpuUs(samples) / cpuUs(own)).toFixed(2),
    median(of((each) => each.foreignCores)).toFixed(2)
  ]
}

const columns = [
  "server",
  "messages/s",
  "CPU µs/msg",
  "of it settling",
  "client µs/msg",
  "RSS MB",
  "Logbrook is × (range)",
  "its CPU ×",
  "foreign cores"
]

/** Every message that was acknowledged is below a high watermark, and none twice. */
const checkStored = async ({ load }: Bench, kafkaPort: number, acknowledged: number): Promise<void> => {
  const stored = await load.call("stored", { port: kafkaPort, topic: stream, partitions })
  if (stored !== acknowledged) throw new Error(`${acknowledged} messages were acknowledged, ${stored} are stored`)
}

const startAll = async (
  { serverCpus: cpus, isQuick }: Bench,
  isRead: boolean
): Promise<{ own: Logbrook; all: Array<Server> }> => {
  const own = await startLogbrook(cpus)
  await createStream(own, { name: stream, filters: [filter], partitions })
  const peers: Array<Server> = [await startAedes(cpus)]
  if ((await mosquittoVersion()) !== undefined) {
    peers.push(await startMosquitto(cpus, { isPersistent: false, isUnbounded: isRead }))
    if (!isQuick && !isRead) peers.push(await startMosquitto(cpus, { isPersistent: true, isUnbounded: false }))
  }
  return { own, all: [own, ...peers] }
}

const readingOf = (server: Server, own: Logbrook): Reading =>
  server === own
    ? { protocol: "kafka", port: own.kafkaPort, topic: stream, partitions }
    : { protocol: "mqtt", port: server.mqttPort, filter }

/**
 * Interleaved slices: every round loads each server once, the others being idle. A slice ends when everything is
 * answered and, if there is a reader, has come to it.
 */
export const mqttThroughput =
  (scenario: string, { shape, isRead, mosquitto, aedes }: MqttLoadAsked): Scenario =>
  async (bench): Promise<Outcome> => {
    const bounds = new Map(Object.entries({ mosquitto, aedes }))
    const { own, all } = await startAll(bench, isRead)
    const samples = new Map<string, Array<Sample>>(all.map(({ name }) => [name, []]))
    let acknowledged = 0
    try {
      for (const server of all) {
        const { name, mqttPort: port } = server
        const reading = isRead ? readingOf(server, own) : undefined
        await bench.load.call("connect", { name, port, shape, reading })
      }
      for (let round = -1; round < bench.rounds; round++) {
        for (const server of all) {
          const taken = await sample(bench, server, bench.sliceMs)
          if (server === own) acknowledged += taken.messages
          if (round >= 0) samples.get(server.name)!.push(taken)
        }
        if (round >= 0) bench.progress(`${scenario}: round ${round + 1} of ${bench.rounds}`)
      }
      for (const { name } of all) await bench.load.call("disconnect", { name })
      await checkStored(bench, own.kafkaPort, acknowledged)
    } finally {
      for (const server of all) await server.stop()
    }
    const ours = samples.get(own.name)!
    const bars = Array.from(samples).flatMap(([name, theirs]): Array<Bar> => {
      const atLeast = bounds.get(name)
      if (theirs === ours) return []
      const measured = median(ours.map((each, index) => each.perSecond / theirs[index]!.perSecond))
      return [
        {
          what: `${scenario}: messages/s beside ${name}`,
          measured,
          unit: "×",
          bound: atLeast === undefined ? undefined : { atLeast }
        }
      ]
    })
    const rows = Array.from(samples, ([name, theirs]) => row(name, theirs, ours))
    const title = `${scenario}: ${shape.connections} connections, ${shape.payloadBytes} B payload${isRead ? ", read by one client" : ""}`
    return { scenario, tables: [{ title, columns, rows }], bars, raw: { shape, samples: Object.fromEntries(samples) } }
  }
