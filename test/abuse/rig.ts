/**
 * The server within 512 MiB, under one attack after another, beside a client that does nothing wrong. A twin of the
 * server that nobody attacks tells what the machine itself does to such a client meanwhile.
 * `--short` for a minute in all, `--only NAME`, `--rounds N` (1). Exits with 0 only if all holds.
 */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { RecordsBuilder, noHeaders } from "@logbrook/core/Record"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { KafkaPipe } from "../crash/KafkaPipe.ts"
import { ProcessWatch, sampleOf } from "../support/ProcessWatch.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { attacks } from "./attacks/all.ts"
import type { AttackerData, Tally } from "./attacker.ts"
import { GoodClient, quantile } from "./GoodClient.ts"
import { warmUp } from "../support/warmUp.ts"

const mib = 1024 * 1024
const memoryBytesMax = 512 * mib
const leftBytesMax = 64 * mib
const slowerMax = 3
const watchEveryMs = 50
const filledBatches = 64
const serveTimeoutMs = 5000

const env = {
  NODE_OPTIONS: "--max-old-space-size=192",
  // Low enough to be reached.
  LOGBROOK_LIMITS_SESSIONS_MAX: "5000",
  LOGBROOK_LIMITS_RETAINED_BYTES_MAX: "32MiB",
  // Five times the default, so that it is the attack that is tested.
  LOGBROOK_LIMITS_NEW_CONNECTIONS_PER_SECOND_MAX: "1000",
  LOGBROOK_LIMITS_CONNECTIONS_PER_ADDRESS_MAX: "256"
}

interface Pace {
  readonly scale: number
  readonly warmUpMs: number
  readonly quietMs: number
  readonly attackMs: number
  readonly settleMs: number
  /** What a busy machine adds to any figure; a few samples have a worse p99 than many. */
  readonly latencyFloorMs: number
}

const whole: Pace = { scale: 1, warmUpMs: 6000, quietMs: 5000, attackMs: 12_000, settleMs: 20_000, latencyFloorMs: 75 }
const short: Pace = { scale: 0.5, warmUpMs: 3000, quietMs: 600, attackMs: 2500, settleMs: 10_000, latencyFloorMs: 150 }

interface Verdict {
  readonly name: string
  /** Before, or of the twin meanwhile, whichever is longer. */
  readonly quietMs: number
  readonly attackedMs: number
  readonly beforeBytes: number
  readonly peakBytes: number
  readonly afterBytes: number
  readonly peakRssBytes: number
  readonly servedAfterMs: number
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

const startAttack = (name: string, ports: ServerProcess["ports"], scale: number) => {
  const workerData: AttackerData = { name, ports, scale }
  const worker = new Worker(new URL("./attacker.ts", import.meta.url), { workerData })
  const over = once(worker, "message").then(([tally]) => tally as Tally)
  return {
    stop: async (): Promise<Tally> => {
      worker.postMessage("stop", [])
      const tally = await over
      await worker.terminate()
      return tally
    }
  }
}

/** Below the bound, or as low as it gets in that time. V8 collects when it is asked for memory: ordinary traffic asks. */
const settled = async (server: ServerProcess, boundBytes: number, withinMs: number): Promise<number> => {
  const endMs = performance.now() + withinMs
  for (;;) {
    const { anonBytes } = sampleOf(server.pid)
    if (anonBytes <= boundBytes || performance.now() > endMs) return anonBytes
    await warmUp(server.ports, 1000)
  }
}

/** A client that comes after the attack: ms to the acknowledgement of its first message, with what the gate refuses. */
const servedAfter = async (port: number): Promise<number> => {
  const startedMs = performance.now()
  await waitUntil("a client that comes after the attack is served", serveTimeoutMs, async () => {
    const client = await GoodClient.connect(port, "good-after")
    try {
      return (await client.measure(1)).length > 0
    } catch {
      return false
    } finally {
      client.end()
    }
  })
  return performance.now() - startedMs
}

const faultsOf = (verdict: Omit<Verdict, "faults">, { latencyFloorMs }: Pace): Array<string> => {
  const { quietMs, attackedMs, beforeBytes, afterBytes, peakRssBytes } = verdict
  const faults: Array<string> = []
  const boundMs = Math.max(slowerMax * quietMs, latencyFloorMs)
  if (attackedMs > boundMs) faults.push(`p99 of ${attackedMs.toFixed(0)} ms, ${boundMs.toFixed(0)} are allowed`)
  if (afterBytes > beforeBytes + leftBytesMax) faults.push(`${inMib(afterBytes - beforeBytes)} MiB are left`)
  if (peakRssBytes > memoryBytesMax) faults.push(`${inMib(peakRssBytes)} MiB at its peak`)
  return faults
}

const suffer = async (server: ServerProcess, twin: ServerProcess, name: string, pace: Pace): Promise<Verdict> => {
  const good = await GoodClient.connect(server.ports.mqtt, "good")
  const control = await GoodClient.connect(twin.ports.mqtt, "control")
  const beforeMs = quantile(await good.measure(pace.quietMs), 0.99)
  const before = sampleOf(server.pid)
  const watch = new ProcessWatch(server.pid, watchEveryMs)
  const attack = startAttack(name, server.ports, pace.scale)
  const measured = await Promise.all([good, control].map((client) => client.measure(pace.attackMs)))
  const [attackedMs, controlMs] = measured.map((sorted) => quantile(sorted, 0.99)) as [number, number]
  const tally = await attack.stop()
  const servedAfterMs = await servedAfter(server.ports.mqtt)
  const afterBytes = await settled(server, before.anonBytes + leftBytesMax, pace.settleMs)
  watch.stop()
  good.end()
  control.end()
  const verdict = {
    name,
    quietMs: Math.max(beforeMs, controlMs),
    attackedMs,
    beforeBytes: before.anonBytes,
    peakBytes: watch.peak("anonBytes"),
    afterBytes,
    peakRssBytes: watch.peak("rssBytes"),
    servedAfterMs,
    tally
  }
  return { ...verdict, faults: faultsOf(verdict, pace) }
}

const inMib = (bytes: number): string => (bytes / mib).toFixed(0)

const row = ({ name, tally, ...figures }: Verdict): string => {
  const what = Array.from(tally, ([each, count]) => `${count} ${each}`).join(", ")
  const memory = [figures.beforeBytes, figures.peakBytes, figures.afterBytes, figures.peakRssBytes].map(inMib)
  const latency = [figures.quietMs, figures.attackedMs, figures.servedAfterMs].map((ms) => ms.toFixed(0))
  return `| ${[name, what, ...memory, ...latency].join(" | ")} |`
}

const head = `| Attack | What it did | anon before, MiB | peak | settled | RSS peak, MiB | p99 quiet, ms | p99 attacked | served after, ms |
|---|---|---|---|---|---|---|---|---|`

const options = { short: { type: "boolean" }, only: { type: "string" }, rounds: { type: "string" } } as const
const { values } = parseArgs({ options })
const pace = values.short === true ? short : whole
const known = [...attacks.keys()].filter((name) => values.only === undefined || name === values.only)
const names = Array.from({ length: Number(values.rounds ?? 1) }, () => known).flat()
if (names.length === 0) throw new Error(`no such attack; there are: ${[...attacks.keys()].join(", ")}`)

const server = await ServerProcess.start({ env })
const twin = await ServerProcess.start({ env })
let failed = 0
try {
  const good = { filters: ["good/#"], partitions: 1 }
  await Promise.all([server, twin].map((each) => each.createStream("good", good)))
  await fill(server)
  await warmUp(server.ports, pace.warmUpMs)
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
