import { createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { cpuMs, rssBytes } from "../servers/processes.ts"
import { median, quantile, thousands } from "../stats.ts"
import type { Chart } from "../svg.ts"
import type { Bench, Outcome, Scenario, Table } from "./Scenario.ts"

const perSecond = 10_000
const payloadBytes = 100
const connections = 200
const streamPartitionsMax = 64
const slices = 3
const sliceMs = 1500
const quickSliceMs = 500
const quickMax = 100
const load = "curve"

interface Measured {
  readonly x: number
  /** One figure of each slice. */
  readonly ys: ReadonlyArray<number>
  readonly rssMb: number
}

/** What grows, and what is measured meanwhile: all else stays as it is. */
interface Curve {
  readonly name: string
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  readonly xs: ReadonlyArray<number>
  /** Each place has a server of its own; else one server grows. */
  readonly isFresh?: boolean
  /** Connections under load, 200 by default. */
  readonly connections?: (x: number) => number
  /** What the load's topics are spread over; default one stream of 16 partitions. */
  readonly makeStreams?: (server: Logbrook, x: number) => Promise<void>
  readonly topicGroups?: (x: number) => number
  readonly grow?: (bench: Bench, server: Logbrook, from: number, to: number) => Promise<void>
  readonly sample?: (bench: Bench, server: Logbrook) => Promise<number>
}

/** CPU µs of the server per message, at a rate that stays. */
const cpuPerMessage = async (bench: Bench, server: Logbrook): Promise<number> => {
  const before = cpuMs(server.pid)
  const durationMs = bench.isQuick ? quickSliceMs : sliceMs
  const messages = await bench.load.call("pacedSlice", { name: load, perSecond, durationMs })
  return ((cpuMs(server.pid) - before) * 1000) / messages
}

/** CPU µs of the server per pair of SUBSCRIBE, which gets ten retained messages, and UNSUBSCRIBE. */
const cpuPerSubscribe = async (bench: Bench, server: Logbrook): Promise<number> => {
  const before = cpuMs(server.pid)
  const subscribes = bench.isQuick ? 400 : 2000
  const done = await bench.load.call("readRetained", { port: server.mqttPort, subscribes })
  return ((cpuMs(server.pid) - before) * 1000) / done
}

const groupsOf = (partitions: number): number => Math.ceil(partitions / streamPartitionsMax)

/** As many streams as the partitions need, each bound to the topics of one group of connections. */
const makePartitions = async (server: Logbrook, partitions: number): Promise<void> => {
  const groups = groupsOf(partitions)
  for (let group = 0; group < groups; group++) {
    const filters = [`sensors${groups > 1 ? group : ""}/+/data`]
    await createStream(server, { name: `sensors-${group}`, filters, partitions: partitions / groups })
  }
}

const messageCost = `CPU µs of the server per message`
const steady = `QoS 1 of ${payloadBytes} B at ${thousands(perSecond)}/s`

const curves: ReadonlyArray<Curve> = [
  {
    name: "partitions",
    title: `Partitions: ${steady} from 1,024 connections`,
    xLabel: "partitions, by hash of the client id",
    yLabel: messageCost,
    xs: [1, 16, 64, 256, 1024],
    isFresh: true,
    connections: () => 1024,
    topicGroups: groupsOf,
    makeStreams: makePartitions
  },
  {
    name: "connections",
    title: `Connections: ${steady} in all, over 16 partitions`,
    xLabel: "connections, each with an equal share of the messages",
    yLabel: messageCost,
    xs: [10, 100, 1000, 4000],
    connections: (x) => x
  },
  {
    name: "sessions",
    title: `Durable sessions: ${steady} beside them`,
    xLabel: "durable sessions, not connected, one subscription each that does not match",
    yLabel: messageCost,
    xs: [0, 100, 1000, 10_000],
    grow: ({ load: clients }, { mqttPort: port }, from, to) => clients.call("addSessions", { port, from, to })
  },
  {
    name: "subscriptions",
    title: `Subscriptions: ${steady} beside them`,
    xLabel: "subscriptions sensors/+/…, 100 per connection, none of which matches",
    yLabel: messageCost,
    xs: [0, 100, 1000, 10_000, 100_000],
    grow: ({ load: clients }, { mqttPort: port }, from, to) => clients.call("addSubscriptions", { port, from, to })
  },
  {
    name: "retained",
    title: "Retained messages: a SUBSCRIBE with a wildcard that gets ten of them",
    xLabel: "retained messages of 100 B",
    yLabel: "CPU µs of the server per SUBSCRIBE and UNSUBSCRIBE",
    xs: [10, 100, 1000, 10_000, 100_000],
    connections: () => 0,
    grow: ({ load: clients }, { mqttPort: port }, from, to) => clients.call("addRetained", { port, from, to }),
    sample: cpuPerSubscribe
  }
]

const startServer = async (bench: Bench, curve: Curve, x: number): Promise<Logbrook> => {
  const server = await startLogbrook(bench.serverCpus)
  if (curve.makeStreams !== undefined) await curve.makeStreams(server, x)
  else await createStream(server, { name: "sensors", filters: ["sensors/+/data"], partitions: 16 })
  return server
}

/** What warms up does not count: more of it with a server that is new. */
const measureAt = async (bench: Bench, curve: Curve, server: Logbrook, from: number, x: number): Promise<Measured> => {
  const options = { name: load, port: server.mqttPort, payloadBytes, topicGroups: curve.topicGroups?.(x) ?? 1 }
  await bench.load.call("growPaced", { ...options, connections: curve.connections?.(x) ?? connections })
  await curve.grow?.(bench, server, from, x)
  const sample = curve.sample ?? cpuPerMessage
  const ys: Array<number> = []
  const warmUps = from === 0 && !bench.isQuick ? 2 : 1
  for (let slice = 0; slice < warmUps; slice++) await sample(bench, server)
  for (let slice = 0; slice < (bench.isQuick ? 1 : slices); slice++) ys.push(await sample(bench, server))
  return { x, ys, rssMb: rssBytes(server.pid) / 1e6 }
}

const measure = async (bench: Bench, curve: Curve): Promise<ReadonlyArray<Measured>> => {
  const small = curve.xs.filter((x) => x <= quickMax)
  const xs = bench.isQuick ? [small[0]!, small.at(-1)!] : curve.xs
  const measured: Array<Measured> = []
  let server: Logbrook | undefined
  const end = async () => {
    await bench.load.call("endPaced", { name: load })
    await bench.load.call("endSubscriptions", {})
    await server?.stop()
    server = undefined
  }
  try {
    for (const [at, x] of xs.entries()) {
      if (curve.isFresh) await end()
      server ??= await startServer(bench, curve, x)
      measured.push(await measureAt(bench, curve, server, at === 0 || curve.isFresh ? 0 : xs[at - 1]!, x))
      bench.progress(`curves: ${curve.name} ${thousands(x)}`)
    }
  } finally {
    await end()
  }
  return measured
}

const chartOf = ({ name, title, xLabel, yLabel }: Curve, measured: ReadonlyArray<Measured>): Chart => {
  const points = measured.map(({ x, ys }) => ({ x, y: median(ys), low: quantile(ys, 0), high: quantile(ys, 1) }))
  return { name, title, xLabel, yLabel, points }
}

const tableOf = ({ title, xLabel, yLabel }: Curve, measured: ReadonlyArray<Measured>): Table => ({
  title: `curves: ${title}`,
  columns: [xLabel, `${yLabel} (range)`, "RSS MB"],
  rows: measured.map(({ x, ys, rssMb }) => [
    thousands(x),
    `${median(ys).toFixed(1)} (${quantile(ys, 0).toFixed(1)}-${quantile(ys, 1).toFixed(1)})`,
    rssMb.toFixed(0)
  ])
})

/** How costs grow with what a server holds. */
export const growthCurves: Scenario = async (bench): Promise<Outcome> => {
  const tables: Array<Table> = []
  const charts: Array<Chart> = []
  const raw: Record<string, ReadonlyArray<Measured>> = {}
  for (const curve of curves) {
    const measured = await measure(bench, curve)
    tables.push(tableOf(curve, measured))
    charts.push(chartOf(curve, measured))
    raw[curve.name] = measured
  }
  return { scenario: "curves", tables, charts, bars: [], raw }
}
