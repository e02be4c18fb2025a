import type { FanOutShape } from "../load/FanOut.ts"
import { startAedes } from "../servers/aedes.ts"
import { startLogbrook } from "../servers/logbrook.ts"
import { mosquittoVersion, startMosquitto } from "../servers/mosquitto.ts"
import { cpuMs } from "../servers/processes.ts"
import type { Server } from "../servers/Server.ts"
import { median, quantile, thousands } from "../stats.ts"
import type { Bar, Bench, Outcome, Scenario } from "./Scenario.ts"

export interface FanOutAsked {
  readonly shape: FanOutShape
  /** How many times Mosquitto's rate is asked for. */
  readonly mosquitto?: number
}

const shape = (subscribers: number, burst: number, isShared = false): FanOutShape => ({
  subscribers,
  payloadBytes: 100,
  burst,
  isShared
})

/** One publisher, QoS 0 on both sides. In bursts each of 100 messages, else each message waits for the one before. */
export const fanOuts: ReadonlyMap<string, FanOutAsked> = new Map([
  ["fan-out-100", { shape: shape(100, 100), mosquitto: 12 }],
  ["fan-out-1000", { shape: shape(1000, 100), mosquitto: 12 }],
  ["fan-out-100-single", { shape: shape(100, 1), mosquitto: 1.1 }],
  ["fan-out-1000-single", { shape: shape(1000, 1), mosquitto: 1.1 }],
  ["fan-out-shared-100", { shape: shape(100, 100, true) }]
])

interface Sample {
  readonly perSecond: number
  readonly serverCpuUs: number
  readonly clientCpuUs: number
}

const sample = async ({ load, sliceMs }: Bench, { name, pid }: Server): Promise<Sample> => {
  const before = cpuMs(pid)
  const { deliveries, elapsedMs, clientCpuMs } = await load.call("fanOutSlice", { name, durationMs: sliceMs })
  return {
    perSecond: (deliveries * 1000) / elapsedMs,
    serverCpuUs: ((cpuMs(pid) - before) * 1000) / deliveries,
    clientCpuUs: (clientCpuMs * 1000) / deliveries
  }
}

const columns = [
  "server",
  "deliveries/s",
  "CPU µs/delivery",
  "client µs/delivery",
  "Logbrook is × (range)",
  "its CPU ×"
]

const ratios = (own: ReadonlyArray<Sample>, theirs: ReadonlyArray<Sample>): ReadonlyArray<number> =>
  own.map(({ perSecond }, i) => perSecond / theirs[i]!.perSecond)

const row = (name: string, theirs: ReadonlyArray<Sample>, own: ReadonlyArray<Sample>): Array<string> => {
  const of = (samples: ReadonlyArray<Sample>, pick: (each: Sample) => number) => median(samples.map(pick))
  const cpuUs = of(theirs, (each) => each.serverCpuUs)
  const rates = ratios(own, theirs)
  const isOwn = theirs === own
  return [
    name,
    thousands(of(theirs, (each) => each.perSecond)),
    cpuUs.toFixed(2),
    of(theirs, (each) => each.clientCpuUs).toFixed(2),
    isOwn ? "" : `${median(rates).toFixed(2)} (${quantile(rates, 0).toFixed(2)}-${quantile(rates, 1).toFixed(2)})`,
    isOwn ? "" : (cpuUs / of(own, (each) => each.serverCpuUs)).toFixed(2)
  ]
}

/** Each server in turn, round after round; nothing is stored, since no stream has the topic. */
export const fanOut =
  (scenario: string, { shape: asked, mosquitto }: FanOutAsked): Scenario =>
  async (bench): Promise<Outcome> => {
    const own = await startLogbrook(bench.serverCpus)
    const servers: Array<Server> = [own]
    // Aedes knows no shared subscriptions.
    if (!asked.isShared) servers.push(await startAedes(bench.serverCpus))
    if ((await mosquittoVersion()) !== undefined) {
      servers.push(await startMosquitto(bench.serverCpus, { isPersistent: false, isUnbounded: true }))
    }
    const samples = new Map<string, Array<Sample>>(servers.map(({ name }) => [name, []]))
    try {
      for (const { name, mqttPort: port } of servers) await bench.load.call("fanOut", { name, port, shape: asked })
      for (let round = -1; round < bench.rounds; round++) {
        for (const server of servers) {
          const taken = await sample(bench, server)
          if (round >= 0) samples.get(server.name)!.push(taken)
        }
        if (round >= 0) bench.progress(`${scenario}: round ${round + 1} of ${bench.rounds}`)
      }
      for (const { name } of servers) await bench.load.call("endFanOut", { name })
    } finally {
      for (const server of servers) await server.stop()
    }
    const ours = samples.get(own.name)!
    const bars = Array.from(samples).flatMap(([name, theirs]): Array<Bar> => {
      if (theirs === ours) return []
      const bound = name === "mosquitto" && mosquitto !== undefined ? { atLeast: mosquitto } : undefined
      const what = `${scenario}: deliveries/s beside ${name}`
      return [{ what, measured: median(ratios(ours, theirs)), unit: "×", bound }]
    })
    const each = asked.isShared ? "shared by" : "to each of"
    const title = `${scenario}: ${asked.payloadBytes} B ${each} ${asked.subscribers} subscribers, ${asked.burst} at once`
    const rows = Array.from(samples, ([name, theirs]) => row(name, theirs, ours))
    return {
      scenario,
      tables: [{ title, columns, rows }],
      bars,
      raw: { shape: asked, samples: Object.fromEntries(samples) }
    }
  }
