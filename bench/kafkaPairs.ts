// Two builds beside each other under Kafka loads: `node bench/kafkaPairs.ts A/bin.js B/bin.js [pairs] [loads]`, each build in
// turn with the other, ABBA. A build is a copy of packages/server/bundle beside which node_modules can be found.
// Both servers run throughout, on one core; the idle one takes next to nothing.
import { cpus } from "node:os"
import { LoadProcess } from "./load/LoadProcess.ts"
import { fetchWarm } from "./scenarios/fetchWarm.ts"
import { createStream, startLogbrook, type Logbrook } from "./servers/logbrook.ts"
import { cpuMs } from "./servers/processes.ts"
import { median, quantile } from "./stats.ts"

const partitions = 4
const valueBytes = 1000

/** Per load: the records of a batch, of `valueBytes` each; `fetch` reads what the first of them has produced. */
const batchRecords = { fetch: 64, produce64k: 64, produce16k: 16 } as const
type Load = keyof typeof batchRecords
const isLoad = (name: string): name is Load => name in batchRecords

interface Side {
  readonly server: Logbrook
  readonly cpuMsPerMb: Map<Load, Array<number>>
  readonly mbPerSecond: Map<Load, Array<number>>
  streams: number
}

const mib = 1024 * 1024
/** What is fetched, and what one pass of a produce load sends. */
const storedBytes = 256 * mib
const producedBytes = 64 * mib

const produce = async (side: Side, load: LoadProcess, recordsPerBatch: number, bytes: number) => {
  const topic = `produced-${side.streams++}`
  await createStream(side.server, { name: topic, filters: [], partitions })
  const batches = Math.floor(bytes / (recordsPerBatch * valueBytes))
  const shape = { topic, partitions, connections: 16, recordsPerBatch, valueBytes, batches }
  return load.call("produceAll", { port: side.server.kafkaPort, ...shape })
}

/** All of it several times, since CPU is told in steps of 10 ms. */
const fetch = ({ server }: Side, load: LoadProcess) =>
  fetchWarm(load, { port: server.kafkaPort, topic: "produced-0", partitions })

const note = (figures: Map<Load, Array<number>>, name: Load, figure: number): void => {
  figures.set(name, [...(figures.get(name) ?? []), figure])
}

const measure = async (side: Side, load: LoadProcess, name: Load): Promise<void> => {
  const before = cpuMs(side.server.pid)
  const { bytes, elapsedMs } = await (name === "fetch"
    ? fetch(side, load)
    : produce(side, load, batchRecords[name], producedBytes))
  note(side.cpuMsPerMb, name, ((cpuMs(side.server.pid) - before) * 1e6) / bytes)
  note(side.mbPerSecond, name, bytes / 1000 / elapsedMs)
}

const begin = async (program: string | undefined, load: LoadProcess): Promise<Side> => {
  const server = await startLogbrook("0", [], program)
  const side: Side = { server, cpuMsPerMb: new Map(), mbPerSecond: new Map(), streams: 0 }
  await produce(side, load, batchRecords.fetch, storedBytes)
  await fetch(side, load)
  return side
}

const list = (values: ReadonlyArray<number>, digits: number): string =>
  `${median(values).toFixed(digits)} (${values.map((value) => value.toFixed(digits)).join(" ")})`

/** The median and the range of the pairs' ratios. */
const ratiosOf = (sides: ReadonlyArray<Side>, name: Load): string => {
  const [a = [], b = []] = sides.map(({ cpuMsPerMb }) => cpuMsPerMb.get(name))
  const ratios = b.map((cpu, pair) => cpu / a[pair]!)
  return `${median(ratios).toFixed(2)} (${quantile(ratios, 0).toFixed(2)}-${quantile(ratios, 1).toFixed(2)})`
}

const run = async (programs: ReadonlyArray<string>, pairs: number, loads: ReadonlyArray<Load>): Promise<void> => {
  const load = new LoadProcess(cpus().length > 1 ? "1" : "0")
  const sides: Array<Side> = []
  try {
    for (const program of programs) sides.push(await begin(program, load))
    for (const name of loads) {
      for (let pair = 0; pair < pairs; pair++) {
        for (const side of pair % 2 === 0 ? sides : sides.toReversed()) await measure(side, load, name)
      }
      sides.forEach((side, index) => {
        const [cpuOf, rateOf] = [side.cpuMsPerMb.get(name) ?? [], side.mbPerSecond.get(name) ?? []]
        console.log(`${name} ${"AB"[index]}: CPU ms/MB ${list(cpuOf, 2)}  MB/s ${list(rateOf, 0)}`)
      })
      console.log(`${name}: CPU of B over that of A ${ratiosOf(sides, name)}`)
    }
  } finally {
    for (const { server } of sides) await server.stop()
    await load.stop()
  }
}

const [a, b, pairs = "5", only = Object.keys(batchRecords).join(",")] = process.argv.slice(2)
const loads = only.split(",").filter(isLoad)
if (a === undefined || b === undefined || loads.length === 0) {
  console.log(`node bench/kafkaPairs.ts A/bin.js B/bin.js [pairs] [${Object.keys(batchRecords).join(",")}]`)
  process.exitCode = 2
} else await run([a, b], Number(pairs), loads)
