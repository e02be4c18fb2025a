import type { FanOutShape } from "../load/FanOut.ts"
import type { LoadShape } from "../load/MqttLoad.ts"
import { collectable, createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { cpuMs, deviceWriteBytes, pause, rssBytes } from "../servers/processes.ts"
import { fanOuts } from "../scenarios/fanOut.ts"
import { fetchWarm } from "../scenarios/fetchWarm.ts"
import type { Bench } from "../scenarios/Scenario.ts"
import { fleets, mqttShapes } from "../scenarios/shapes.ts"
import { quantile } from "../stats.ts"
import type { Build } from "./build.ts"

export interface Reading {
  readonly what: string
  readonly unit: string
  readonly value: number
  readonly better: "higher" | "lower"
}

/** One build under a load that is taken in slices. */
export interface Subject {
  readonly take: (round: number) => Promise<ReadonlyArray<Reading>>
  readonly close: () => Promise<void>
}

export type Comparison = (bench: Bench, build: Build) => Promise<Subject>

const sensors = { name: "sensors", filters: ["sensors/+/data"], partitions: 16 }

const start = (bench: Bench, { name, program }: Build): Promise<Logbrook> =>
  startLogbrook(bench.serverCpus, [], program, { name })

const cost = (what: string, unit: string, value: number): Reading => ({ what, unit, value, better: "lower" })
const rate = (what: string, unit: string, value: number): Reading => ({ what, unit, value, better: "higher" })

const publishing =
  (scenario: string, shape: LoadShape): Comparison =>
  async (bench, build) => {
    const server = await start(bench, build)
    const { name } = build
    await createStream(server, sensors)
    await bench.load.call("connect", { name, port: server.mqttPort, shape })
    const take = async () => {
      const before = cpuMs(server.pid)
      const { messages, elapsedMs } = await bench.load.call("slice", { name, durationMs: bench.sliceMs })
      return [
        rate(`${scenario}: rate`, "messages/s", (messages * 1000) / elapsedMs),
        cost(`${scenario}: CPU`, "µs/message", ((cpuMs(server.pid) - before) * 1000) / messages)
      ]
    }
    const close = async () => {
      await bench.load.call("disconnect", { name })
      await server.stop()
    }
    return { take, close }
  }

const fanningOut =
  (scenario: string, shape: FanOutShape): Comparison =>
  async (bench, build) => {
    const server = await start(bench, build)
    const { name } = build
    await bench.load.call("fanOut", { name, port: server.mqttPort, shape })
    const take = async () => {
      const before = cpuMs(server.pid)
      const { deliveries, elapsedMs } = await bench.load.call("fanOutSlice", { name, durationMs: bench.sliceMs })
      return [
        rate(`${scenario}: rate`, "deliveries/s", (deliveries * 1000) / elapsedMs),
        cost(`${scenario}: CPU`, "µs/delivery", ((cpuMs(server.pid) - before) * 1000) / deliveries)
      ]
    }
    const close = async () => {
      await bench.load.call("endFanOut", { name })
      await server.stop()
    }
    return { take, close }
  }

const partitions = 4
const produceShape = { partitions, connections: 16, recordsPerBatch: 64, valueBytes: 1000 }

const kafka: Comparison = async (bench, build) => {
  const server = await start(bench, build)
  const port = server.kafkaPort
  const timed = async (what: string, run: () => Promise<{ readonly bytes: number; readonly elapsedMs: number }>) => {
    const before = cpuMs(server.pid)
    const { bytes, elapsedMs } = await run()
    return [
      rate(`${what}: rate`, "MB/s", bytes / 1000 / elapsedMs),
      cost(`${what}: CPU`, "ms/MB", ((cpuMs(server.pid) - before) * 1e6) / bytes)
    ]
  }
  const take = async (round: number) => {
    const topic = `produced-${round + 1}`
    await createStream(server, { name: topic, filters: [], partitions })
    const batches = bench.isQuick ? 500 : 3000
    const produce = () => bench.load.call("produceAll", { port, topic, ...produceShape, batches })
    const fetch = () => fetchWarm(bench.load, { port, topic, partitions })
    return [...(await timed("kafka produce", produce)), ...(await timed("kafka fetch", fetch))]
  }
  return { take, close: server.stop }
}

const paced = (server: Logbrook) => ({
  mqttPort: server.mqttPort,
  kafkaPort: server.kafkaPort,
  topic: sensors.name,
  partitions: sensors.partitions,
  connections: 100,
  payloadBytes: 100
})

const latency: Comparison = async (bench, build) => {
  const server = await start(bench, build)
  await createStream(server, sensors)
  const take = async () => {
    const options = { ...paced(server), perSecond: 1000, fetches: true, durationMs: bench.sliceMs }
    const { latenciesMs } = await bench.load.call("runPaced", options)
    return [cost("MQTT in to Kafka out at 1,000/s: p50", "ms", quantile(latenciesMs, 0.5))]
  }
  return { take, close: server.stop }
}

const deviceWrites: Comparison = async (bench, build) => {
  const server = await start(bench, build)
  await createStream(server, sensors)
  const take = async () => {
    const written = deviceWriteBytes(server.pid)
    const stored = server.storedBytes()
    const cpu = cpuMs(server.pid)
    const options = { ...paced(server), perSecond: 10_000, fetches: false, durationMs: bench.sliceMs }
    const { messages } = await bench.load.call("runPaced", options)
    const bytes = messages * options.payloadBytes
    return [
      cost(
        "at 10,000/s: written to the device",
        "bytes/payload byte",
        (deviceWriteBytes(server.pid) - written) / bytes
      ),
      cost("at 10,000/s: stored", "bytes/message", (server.storedBytes() - stored) / messages),
      cost("at 10,000/s: CPU", "µs/message", ((cpuMs(server.pid) - cpu) * 1000) / messages)
    ]
  }
  return { take, close: server.stop }
}

/** After which what a start needs is no longer in the figure. */
const idleMs = 2000

const footprint: Comparison = async (bench, build) => ({
  take: async () => {
    const server = await start(bench, build)
    await pause(idleMs)
    const idleMb = rssBytes(server.pid) / 1e6
    await server.stop()
    return [cost("ready from an empty directory", "ms", server.readyMs), cost("idle server", "MB", idleMb)]
  },
  close: () => Promise.resolve()
})

/** Between them memory is taken to grow by connections alone: see `scenarios/footprint.ts`. */
const idleCounts = [2000, 8000] as const

const idleConnections: Comparison = async (bench, build) => ({
  take: async () => {
    const server = await startLogbrook(bench.serverCpus, collectable, build.program, { name: build.name })
    const { name } = build
    const rss: Array<number> = []
    for (const connections of idleCounts) {
      await bench.load.call("idle", { name, port: server.mqttPort, connections })
      process.kill(server.pid, "SIGUSR2")
      await pause(idleMs)
      rss.push(rssBytes(server.pid))
    }
    await bench.load.call("endIdle", { name })
    await server.stop()
    const perConnection = (rss[1]! - rss[0]!) / (idleCounts[1] - idleCounts[0])
    return [cost("idle connection", "kB", perConnection / 1000)]
  },
  close: () => Promise.resolve()
})

/** By the names of the scenarios whose loads they are. */
export const comparisons: ReadonlyMap<string, Comparison> = new Map([
  ...Array.from(mqttShapes, ([name, { shape }]): [string, Comparison] => [name, publishing(name, shape)]),
  ...Array.from(fleets, ([name, { shape }]): [string, Comparison] => [name, publishing(name, shape)]),
  ...Array.from(fanOuts, ([name, { shape }]): [string, Comparison] => [name, fanningOut(name, shape)]),
  ["kafka", kafka],
  ["idle", idleConnections],
  ["latency", latency],
  ["device-writes", deviceWrites],
  ["footprint", footprint]
])
