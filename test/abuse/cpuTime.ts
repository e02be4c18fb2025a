import * as fs from "node:fs"

/** Linux tells times in hundredths of a second, whatever its own clock. */
const tickMs = 10
const nsPerMs = 1e6

/** What all processors have worked since the system's start, in ms. */
const machineMs = (): number => {
  const [user, nice, system, , , irq, softirq, steal] = fs
    .readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number) as [number, number, number, number, number, number, number, number]
  return (user + nice + system + irq + softirq + steal) * tickMs
}

/** What a process has worked since its start, in ms. */
const processMs = (pid: number): number => {
  const [, fields] = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")
  const [user, system] = fields!.split(" ").slice(11).map(Number) as [number, number]
  return (user + system) * tickMs
}

export interface CpuSample {
  readonly atMs: number
  /** Of all that is not ours. */
  readonly foreignMs: number
  /** The first process's main thread: what it ran, and what it waited for a processor although it could run. */
  readonly ranMs: number
  readonly waitedMs: number
}

/** `pids`: what is ours, the server first. */
export const cpuSample = (pids: readonly [server: number, ...rest: Array<number>]): CpuSample => {
  const [server] = pids
  const ours = pids.reduce((sum, pid) => sum + processMs(pid), 0)
  const [ranNs, waitedNs] = fs.readFileSync(`/proc/${server}/task/${server}/schedstat`, "utf8").split(" ").map(Number)
  return {
    atMs: performance.now(),
    foreignMs: machineMs() - ours,
    ranMs: ranNs! / nsPerMs,
    waitedMs: waitedNs! / nsPerMs
  }
}

export interface CpuUse {
  /** Processors that others kept busy, on average. */
  readonly foreignCpus: number
  /** Of the time in which the server's main thread had something to do, how much it ran: 1 on a machine of its own. */
  readonly runShare: number
}

export const cpuUse = (from: CpuSample, to: CpuSample): CpuUse => {
  const ranMs = to.ranMs - from.ranMs
  const readyMs = ranMs + to.waitedMs - from.waitedMs
  return {
    foreignCpus: Math.max(0, to.foreignMs - from.foreignMs) / (to.atMs - from.atMs),
    runShare: readyMs > 0 ? ranMs / readyMs : 1
  }
}
