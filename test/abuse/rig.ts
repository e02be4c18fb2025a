/**
 * The server within 512 MiB, under one attack after another, beside a client that does nothing wrong. Each attack comes
 * three times with quiet between, and a twin of the server that nobody attacks has such a client too: what the machine
 * itself does to it is in both. Each ends with `kill -9` and a start under the same memory. `--short` for a minute in all, `--only NAME`, `--part K/N`, `--rounds N` (1). Exits with 0 only if all holds.
 */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import * as net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { RecordsBuilder, noHeaders } from "@logbrook/core/Record"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { KafkaPipe } from "../crash/KafkaPipe.ts"
import { ProcessWatch, sampleOf } from "../support/ProcessWatch.ts"
import { ServerProcess } from "../support/server.ts"
import { partOf } from "../support/part.ts"
import { attacks } from "./attacks/all.ts"
import { bombOf, codecs } from "./attacks/kafkaFloods.ts"
import type { AttackerData, Tally } from "./attacker.ts"
import { cpuSample, cpuUse, type CpuUse } from "./cpuTime.ts"
import { GoodClient, quantile } from "./GoodClient.ts"
import { mappedBytes } from "./mappedBytes.ts"
import { type Restarted, servedAfter, startedAgain } from "./aftermath.ts"
import { asShipped, memoryBytesMax } from "./serverEnv.ts"
import { warmUp } from "../support/warmUp.ts"

const mib = 1024 * 1024
const leftBytesMax = 64 * mib
const slowerMax = 3
const watchEveryMs = 50
const filledBatches = 64

/** Between an attack and the quiet after it: a thousand connections are closed. */
const partMs = 300
const bursts = 3

interface Pace {
  readonly scale: number
  readonly warmUpMs: number
  /** Before each of the bursts. */
  readonly quietMs: number
  readonly attackMs: number
  readonly restMs: number
  /** Whatever the quiet figure: p99 of so few samples is one of the longest. */
  readonly latencyFloorMs: number
}

const whole: Pace = { scale: 1, warmUpMs: 6000, quietMs: 2000, attackMs: 5500, restMs: 20_000, latencyFloorMs: 50 }
const short: Pace = { scale: 0.5, warmUpMs: 3000, quietMs: 400, attackMs: 900, restMs: 10_000, latencyFloorMs: 75 }

/**
 * A server as it is after a while: V8's heap has the size that work needs, and each codec's library has taken from the system
 * what it never gives back, 60 MiB in all (docs/lab/reliability.md). Of one that has just begun, its first load would count as left behind.
 */
const prepared = async (server: ServerProcess, { warmUpMs }: Pace): Promise<void> => {
  for (const codec of codecs) {
    const socket = net.connect(server.ports.kafka, "127.0.0.1")
    socket.write(bombOf(codec, 15 * mib, 100_000))
    await once(socket, "data")
    socket.destroy()
  }
  await warmUp(server.ports, warmUpMs)
}

/** Times in ms, each a p99. */
interface Burst extends CpuUse {
  /** Before the attack, or of the twin meanwhile, whichever is longer. */
  readonly quietMs: number
  readonly attackedMs: number
}

interface Verdict {
  readonly name: string
  /** The median of the bursts, as all times but the last. */
  readonly quietMs: number
  readonly attackedMs: number
  /** In the server's own time: without what its main thread waited for a processor. */
  readonly ownMs: number
  readonly foreignCpus: number
  readonly beforeBytes: number
  readonly peakBytes: number
  readonly afterBytes: number
  readonly peakRssBytes: number
  /** Without the journal's pages: of the program's own files, and all that is in none. */
  readonly peakOwnBytes: number
  readonly servedAfterMs: number
  /** Of the start after `kill -9`, under the same memory. */
  readonly restarted: Restarted
  readonly tally: Tally
  readonly faults: ReadonlyArray<string>
}

/** What unread fetches ask for: incompressible, so that nothing makes it smaller. */
const fill = async (server: ServerProcess): Promise<void> => {
  await server.createStream("filled", { partitions: 1 })
  await server.createStream("free", { partitions: 1 })
  await server.createStream("flood", { filters: ["flood/#"], partitions: 4, config: { "retention.bytes": "4000000" } })
  const pipe = await KafkaPipe.connect(server.ports.kafka)
  for (let n = 0; n < filledBatches; n++) {
    const records = new RecordsBuilder(mib)
    records.append(null, randomBytes(1_000_000), noHeaders, 1)
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, baseTimestampMs: 1, maxTimestampMs: 1 }
    const topicData = [
      { name: "filled", partitionData: [{ index: 0, records: buildBatch(fields, Buffer.from(records.bytes)) }] }
    ]
    await pipe.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData }, ({ responses }) => {
      const { errorCode } = responses[0]!.partitionResponses[0]!
      if (errorCode !== 0) throw new Error(`filling: error ${errorCode}`)
    })
  }
  await pipe.end()
}

const startAttacker = async (name: string, ports: ServerProcess["ports"], scale: number) => {
  const workerData: AttackerData = { name, ports, scale }
  const worker = new Worker(new URL("./attacker.ts", import.meta.url), { workerData })
  await once(worker, "message")
  return {
    begin: () => worker.postMessage("begin", []),
    end: async (): Promise<Tally> => {
      const over = once(worker, "message")
      worker.postMessage("end", [])
      const [tally] = await over
      return tally as Tally
    },
    terminate: () => worker.terminate()
  }
}

/** Below the bound, or as low as it gets in that time. V8 collects when it is asked for memory: ordinary traffic asks. */
const atRest = async (server: ServerProcess, boundBytes: number, withinMs: number): Promise<number> => {
  const endMs = performance.now() + withinMs
  for (;;) {
    const { anonBytes } = sampleOf(server.pid)
    if (anonBytes <= boundBytes || performance.now() > endMs) return anonBytes
    await warmUp(server.ports, 1000)
  }
}

const faultsOf = (verdict: Omit<Verdict, "faults">, { latencyFloorMs }: Pace): Array<string> => {
  const { quietMs, ownMs, beforeBytes, afterBytes, peakOwnBytes, restarted } = verdict
  const faults: Array<string> = []
  const boundMs = Math.max(slowerMax * quietMs, latencyFloorMs)
  if (ownMs > boundMs) faults.push(`p99 of ${ownMs.toFixed(0)} ms, ${boundMs.toFixed(0)} are allowed`)
  if (afterBytes > beforeBytes + leftBytesMax) faults.push(`${inMib(afterBytes - beforeBytes)} MiB are left`)
  if (peakOwnBytes > memoryBytesMax) faults.push(`${inMib(peakOwnBytes)} MiB at its peak`)
  if (restarted.peakBytes > memoryBytesMax) faults.push(`${inMib(restarted.peakBytes)} MiB at the start behind it`)
  return faults
}

const median = (figures: ReadonlyArray<number>): number =>
  quantile(
    figures.toSorted((a, b) => a - b),
    0.5
  )

/** What each of the clients waited, p99. */
const p99s = async (clients: ReadonlyArray<GoodClient>, forMs: number): Promise<Array<number>> =>
  (await Promise.all(clients.map((client) => client.measure(forMs)))).map((sorted) => quantile(sorted, 0.99))

const suffer = async (server: ServerProcess, twin: ServerProcess, name: string, pace: Pace): Promise<Verdict> => {
  const good = await GoodClient.connect(server.ports.mqtt, "good")
  const control = await GoodClient.connect(twin.ports.mqtt, "control")
  const attacker = await startAttacker(name, server.ports, pace.scale)
  const ours = [server.pid, twin.pid, process.pid] as const
  const before = sampleOf(server.pid)
  const watch = new ProcessWatch(server.pid, watchEveryMs)
  const all: Array<Burst> = []
  let tally: Tally = new Map()
  while (all.length < bursts) {
    const [beforeMs] = await p99s([good, control], pace.quietMs)
    const from = cpuSample(ours)
    attacker.begin()
    const [attackedMs, controlMs] = await p99s([good, control], pace.attackMs)
    all.push({ quietMs: Math.max(beforeMs!, controlMs!), attackedMs: attackedMs!, ...cpuUse(from, cpuSample(ours)) })
    tally = await attacker.end()
    await sleep(partMs)
  }
  await attacker.terminate()
  const servedAfterMs = await servedAfter(server.ports.mqtt)
  const afterBytes = await atRest(server, before.anonBytes + leftBytesMax, pace.restMs)
  watch.stop()
  const after = sampleOf(server.pid)
  const programBytes = after.rssBytes - after.anonBytes - mappedBytes(server.pid, server.dataDir)
  good.end()
  control.end()
  await server.kill()
  const restarted = await startedAgain(server)
  await prepared(server, pace)
  const verdict = {
    name,
    quietMs: median(all.map(({ quietMs }) => quietMs)),
    attackedMs: median(all.map(({ attackedMs }) => attackedMs)),
    ownMs: median(all.map(({ attackedMs, runShare }) => attackedMs * runShare)),
    foreignCpus: median(all.map(({ foreignCpus }) => foreignCpus)),
    beforeBytes: before.anonBytes,
    peakBytes: watch.peak("anonBytes"),
    afterBytes,
    peakRssBytes: watch.peak("rssBytes"),
    peakOwnBytes: watch.peak("anonBytes") + programBytes,
    servedAfterMs,
    restarted,
    tally
  }
  return { ...verdict, faults: faultsOf(verdict, pace) }
}

const inMib = (bytes: number): string => (bytes / mib).toFixed(0)

const row = ({ name, tally, restarted, ...figures }: Verdict): string => {
  const what = Array.from(tally, ([each, count]) => `${count} ${each}`).join(", ")
  const memory = [
    figures.beforeBytes,
    figures.afterBytes,
    figures.peakBytes,
    figures.peakOwnBytes,
    figures.peakRssBytes,
    restarted.peakBytes
  ].map(inMib)
  const times = [figures.quietMs, figures.attackedMs, figures.ownMs, figures.servedAfterMs, restarted.readyMs].map(
    (ms) => ms.toFixed(0)
  )
  return `| ${[name, what, ...memory, ...times, figures.foreignCpus.toFixed(1)].join(" | ")} |`
}

const head = `| Attack | What it did | anon before, MiB | at rest | peak | with the program | RSS | start after kill -9 | p99 quiet, ms | attacked | own | served after, ms | ready after kill -9, ms | foreign CPUs |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|`

const options = {
  short: { type: "boolean" },
  only: { type: "string" },
  part: { type: "string" },
  rounds: { type: "string" }
} as const
const { values } = parseArgs({ options })
const pace = values.short === true ? short : whole
const chosen = [...attacks.keys()].filter((name) => values.only === undefined || name === values.only)
const known = partOf(chosen, values.part ?? "1/1")
const names = Array.from({ length: Number(values.rounds ?? 1) }, () => known).flat()
if (names.length === 0) throw new Error(`no such attack; there are: ${[...attacks.keys()].join(", ")}`)

const server = await ServerProcess.start({ env: asShipped })
const twin = await ServerProcess.start({ env: asShipped })
let failed = 0
try {
  const good = { filters: ["good/#"], partitions: 1 }
  await Promise.all([server, twin].map((each) => each.createStream("good", good)))
  await fill(server)
  await prepared(server, pace)
  console.log(head)
  for (const name of names) {
    const verdict = await suffer(server, twin, name, pace)
    console.log(row(verdict))
    for (const fault of verdict.faults) console.log(`  FAILED: ${fault}`)
    failed += verdict.faults.length
  }
  const code = await server.stop()
  if (code !== 0) throw new Error(`the server's stop exited with ${code}`)
} catch (error) {
  failed++
  console.log(error)
  console.log(server.logTail())
} finally {
  await Promise.all([server, twin].map((each) => each.dispose()))
}
console.log(failed === 0 ? `held: ${names.length} attacks` : "FAILED")
process.exit(failed === 0 ? 0 : 1)
