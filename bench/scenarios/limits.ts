import type { CommitShape, DiskSlice, DiskWriter } from "../load/disk.ts"
import { LoadProcess } from "../load/LoadProcess.ts"
import { createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { cpuMs, deviceWriteBytes } from "../servers/processes.ts"
import { median, quantile, thousands } from "../stats.ts"
import type { Bar, Bench, Scenario } from "./Scenario.ts"
import { mqttShapes } from "./shapes.ts"

/** As the server commits: many small messages in one frame; the same with record batches of producers beside them. */
const commitShapes: ReadonlyMap<string, CommitShape> = new Map([
  ["31 KB of small events", { events: 256, batches: 0, batchBytes: 0 }],
  ["the same and 16 batches of 16 KB", { events: 256, batches: 16, batchBytes: 16_368 }]
])
const writers: ReadonlyArray<DiskWriter> = ["file", "file, 4 a sync", "lmdb", "journal"]
/** What the disk gives; everything else is told as a share of it. */
const reference = "file, 4 a sync: the same and 16 batches of 16 KB"

/** There are many works: with the others' slices they would take minutes. */
const sliceMsMax = 1000

interface Sample {
  readonly mbPerSecond: number
  readonly cpuMsPerMb: number
  readonly writtenPerByte: number
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

const ofDisk = ({ bytes, elapsedMs, cpuMs: cpu, writtenBytes, commitMs }: DiskSlice): Sample => ({
  mbPerSecond: bytes / 1000 / elapsedMs,
  cpuMsPerMb: (cpu * 1e6) / bytes,
  writtenPerByte: writtenBytes / bytes,
  p50Ms: quantile(commitMs, 0.5),
  p99Ms: quantile(commitMs, 0.99)
})

const ofServer = async (
  server: Logbrook,
  run: () => Promise<{ readonly bytes: number; readonly elapsedMs: number }>
): Promise<Sample> => {
  const cpu = cpuMs(server.pid)
  const written = deviceWriteBytes(server.pid)
  const { bytes, elapsedMs } = await run()
  return {
    mbPerSecond: bytes / 1000 / elapsedMs,
    cpuMsPerMb: ((cpuMs(server.pid) - cpu) * 1e6) / bytes,
    writtenPerByte: (deviceWriteBytes(server.pid) - written) / bytes,
    p50Ms: undefined,
    p99Ms: undefined
  }
}

type Work = readonly [what: string, run: () => Promise<Sample>]

const diskWorks = (disk: LoadProcess, durationMs: number): ReadonlyArray<Work> =>
  Array.from(commitShapes).flatMap(([name, shape]) =>
    writers.map((writer): Work => [
      `${writer}: ${name}`,
      async () => ofDisk(await disk.call("writeToDisk", { writer, shape, durationMs }))
    ])
  )

const produceShape = { partitions: 16, connections: 32, recordsPerBatch: 16, valueBytes: 1000 }
const produceTopic = "limits-produced"

/** The whole server under loads that fill commits; payload bytes count, no heads of packets. */
const serverWorks = async (bench: Bench, server: Logbrook, durationMs: number): Promise<ReadonlyArray<Work>> => {
  const { load } = bench
  await createStream(server, { name: produceTopic, filters: [], partitions: produceShape.partitions })
  await createStream(server, { name: "sensors", filters: ["sensors/+/data"], partitions: 16 })
  const batches = Math.ceil(durationMs * 4)
  const produced: Work = [
    "logbrook: Kafka produce of 16 KB batches, 32 at a time",
    () =>
      ofServer(server, () =>
        load.call("produceAll", { port: server.kafkaPort, topic: produceTopic, ...produceShape, batches })
      )
  ]
  const works = [produced]
  for (const name of ["qos1-100", "qos1-1k"]) {
    const { shape } = mqttShapes.get(name)!
    await load.call("connect", { name, port: server.mqttPort, shape })
    const run = async () => {
      const { messages, elapsedMs } = await load.call("slice", { name, durationMs })
      return { bytes: messages * shape.payloadBytes, elapsedMs }
    }
    works.push([`logbrook: MQTT, ${name}`, () => ofServer(server, run)])
  }
  return works
}

const ms = (samples: ReadonlyArray<Sample>, pick: (sample: Sample) => number | undefined): string =>
  samples.some((sample) => pick(sample) === undefined) ? "" : median(samples.map((each) => pick(each)!)).toFixed(1)

/** What the disk gives to a plain file, to LMDB and to the journal, and what the whole server makes of it: in one run. */
export const limits: Scenario = async (bench) => {
  const server = await startLogbrook(bench.serverCpus)
  const disk = new LoadProcess(bench.serverCpus)
  const samples = new Map<string, Array<Sample>>()
  try {
    const durationMs = Math.min(bench.sliceMs, sliceMsMax)
    const works = [...diskWorks(disk, durationMs), ...(await serverWorks(bench, server, durationMs))]
    for (const [what] of works) samples.set(what, [])
    for (let round = -1; round < bench.rounds; round++) {
      for (const [what, run] of works) {
        const sample = await run()
        if (round >= 0) samples.get(what)!.push(sample)
      }
      if (round >= 0) bench.progress(`limits: round ${round + 1} of ${bench.rounds}`)
    }
  } finally {
    await disk.stop()
    await server.stop()
  }
  const given = samples.get(reference)!
  const ratiosOf = (each: ReadonlyArray<Sample>) => each.map((one, at) => one.mbPerSecond / given[at]!.mbPerSecond)
  const columns = ["what", "MB/s", "of the disk (range)", "CPU ms/MB", "written per byte", "commit p50 ms", "p99 ms"]
  const rows = Array.from(samples, ([what, each]) => {
    const ratios = ratiosOf(each)
    return [
      what,
      thousands(median(each.map(({ mbPerSecond }) => mbPerSecond))),
      `${median(ratios).toFixed(2)} (${quantile(ratios, 0).toFixed(2)}-${quantile(ratios, 1).toFixed(2)})`,
      median(each.map(({ cpuMsPerMb }) => cpuMsPerMb)).toFixed(2),
      median(each.map(({ writtenPerByte }) => writtenPerByte)).toFixed(2),
      ms(each, ({ p50Ms }) => p50Ms),
      ms(each, ({ p99Ms }) => p99Ms)
    ]
  })
  const bars = Array.from(samples, ([what, each]): Bar => {
    const measured = median(ratiosOf(each))
    return { what: `${what}: MB/s of the disk's`, measured, unit: "×", bound: undefined }
  }).filter(({ what }) => what.startsWith("journal") || what.startsWith("logbrook"))
  const title = `limits: shares of what "${reference}" gets`
  return { scenario: "limits", tables: [{ title, columns, rows }], bars, raw: Object.fromEntries(samples) }
}
