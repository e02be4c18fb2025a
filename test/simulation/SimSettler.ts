import type { Clock } from "@logbrook/core/Clock"
import type { SettleOutcome } from "@logbrook/core/settle/workerMessages"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import { Compactor } from "@logbrook/core/settle/Compactor"
import { Pace } from "@logbrook/core/settle/Pace"
import type { Settled, SettleJob } from "@logbrook/core/settle/SettleJob"
import { sourceOf } from "@logbrook/core/settle/settleSegment"
import { writeSettled } from "@logbrook/core/settle/writeSettled"
import type { Random } from "./Random.ts"
import type { Process } from "./Scheduler.ts"
import type { SimDisk } from "./SimDisk.ts"
import { SimSegment } from "./SimSegment.ts"

/** A clock whose tasks may let a native promise go on: the simulation waits for it. */
export const promising = (process: Process, promised: () => void): Clock => {
  const told = (task: () => void) => (): void => {
    task()
    promised()
  }
  return {
    nowMs: process.nowMs,
    monotonicMs: process.monotonicMs,
    after: (delayMs, task) => process.after(delayMs, told(task)),
    nextTurn: (task) => process.nextTurn(told(task))
  }
}

const gatherBytesMax = 64 * 1024
const failureChance = 0.03
const startMsMax = 500

/**
 * The worker that settles, over the simulated disk: what it writes comes in steps, and a crash leaves any first part of
 * it. It ends with its server, as the child process does.
 */
export const simWorker = (
  disk: SimDisk,
  clock: Clock,
  random: Random,
  isHealed: () => boolean
): ((job: SettleJob) => SettleWork) => {
  const wait = (ms: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    clock.after(ms, resolve)
    return promise
  }
  const settle = async (job: SettleJob, isCancelled: () => boolean): Promise<SettleOutcome> => {
    await wait(random.tail(1, startMsMax))
    if (isCancelled()) return { _tag: "Failed", detail: "cancelled" }
    const { target: path, sources: wanted } = job
    // A slice of 0 ms: it rests after each step.
    const tools = { pace: new Pace(clock, 0, 1) }
    const target = new SimSegment(path, wanted[0]!.firstSeq, true)
    disk.files.set(path, target)
    const sources = wanted.map(({ path: source, nextSeq }) =>
      sourceOf(disk.files.get(source)!, nextSeq, job, gatherBytesMax)
    )
    const compactor = job.compaction && Compactor.open(job.compaction, tools.pace, (file) => disk.files.get(file)!)
    for (const source of sources) await source.collect(tools.pace)
    if (random.chance(failureChance) && !isHealed()) return { _tag: "Failed", detail: "ENOSPC" }
    const { records, runs } = await writeSettled(sources, job, target, tools, compactor)
    await wait(random.tail(1, startMsMax))
    const bytesIn = sources.reduce((sum, { segment }) => sum + (segment as SimSegment).bytes, 0)
    const cleaned = compactor?.cleaned ?? []
    const settled: Settled = { records, runs, bytesIn, bytesOut: target.bytes, cleaned }
    return { _tag: "Settled", ...settled }
  }
  return (job) => {
    let isCancelled = false
    const done = settle(job, () => isCancelled).catch((error: unknown): SettleOutcome => ({
      _tag: "Refused",
      detail: error instanceof Error ? `${error.message} ${error.stack}` : String(error)
    }))
    return { done, hurry: () => undefined, cancel: () => (isCancelled = true) }
  }
}
