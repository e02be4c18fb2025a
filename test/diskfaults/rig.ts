/**
 * Lets the server's disk fail at each of its first operations, or be full, and compares what a start on a good disk has
 * with what was acknowledged. Needs root (for the small disks) and gcc.
 * `--operations N` (200), `--from N` (1), `--step N` (1), `--only WORD` of a fault's name, `--parallel N` (2).
 * Exits with 0 only if all holds.
 */
import { parseArgs } from "node:util"
import { enterOwnMountNamespace } from "../support/mountNamespace.ts"
import { outputOf } from "../support/runCommand.ts"
import { shimEnv, type ShimRule } from "../support/diskShim.ts"
import { FaultyRun, type Fault, type Outcome } from "./FaultyRun.ts"

const eio = 5
const enospc = 28
const smallDisksMiB = [2, 3, 4, 6, 8]
const fileBytesMax = [100_000, 200_000, 300_000, 400_000, 500_000]
const shownMax = 30

/** The reserve that keeps a disk from being full is taken away, and settlings that give space back. */
const noReserve = { LOGBROOK_LIMITS_DISK_RESERVE_BYTES_MIN: "0", LOGBROOK_JOURNAL_SETTLE: "false" }

const shimmed = (name: string, rule: Pick<ShimRule, "does" | "at" | "isSticky" | "operations">): Fault => ({
  name,
  isCertain: false,
  isSticky: rule.isSticky === true,
  env: (directory, logFile) =>
    shimEnv({ operations: ["write", "sync", "truncate", "create", "rename"], ...rule, directory, logFile })
})

const atOperation = (at: number): ReadonlyArray<Fault> => [
  shimmed(`EIO from operation ${at} on`, { does: `errno ${eio}`, at, isSticky: true }),
  shimmed(`EIO at operation ${at}`, { does: `errno ${eio}`, at }),
  shimmed(`ENOSPC from operation ${at} on`, { does: `errno ${enospc}`, at, isSticky: true }),
  shimmed(`short write at write ${at}`, { does: "short", at, operations: ["write"] })
]

const smallDisk = (mib: number): Fault => ({
  name: `full: a disk of ${mib} MiB`,
  isCertain: true,
  isSticky: false,
  env: () => Promise.resolve(noReserve),
  disk: {
    mount: (directory) => outputOf("mount", ["-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs", directory]),
    unmount: (directory) => outputOf("umount", [directory])
  }
})

const smallFiles = (bytes: number): Fault => ({
  name: `EFBIG: files of ${bytes} bytes at most`,
  isCertain: true,
  isSticky: false,
  env: () => Promise.resolve(noReserve),
  started: ({ pid }) => outputOf("prlimit", ["--pid", String(pid), `--fsize=${bytes}`])
})

const shown = ({ name, end, endedMs, place, acknowledged, faults }: Outcome): string =>
  [
    `${name}${place === "" ? "" : ` (${place})`}: ${end}${endedMs === undefined ? "" : ` in ${endedMs} ms`}, ${acknowledged} acknowledged`,
    ...faults
  ].join("\n  ")

const summary = (outcomes: ReadonlyArray<Outcome>): string => {
  const byEnd = new Map<string, number>()
  for (const { end } of outcomes) byEnd.set(end, (byEnd.get(end) ?? 0) + 1)
  const ended = outcomes.flatMap(({ endedMs }) => endedMs ?? []).sort((a, b) => a - b)
  const failed = outcomes.filter(({ faults }) => faults.length > 0).length
  return [
    `${failed === 0 ? "held" : "FAILED"}: ${outcomes.length} runs, ${failed} with faults`,
    [...byEnd].map(([end, count]) => `${end} ${count}`).join(", "),
    ended.length === 0
      ? "none ended under load"
      : `ended in ${ended[Math.floor(ended.length / 2)]} ms (median), ${ended.at(-1)} ms (worst)`,
    `${outcomes.filter(({ isRepaired }) => isRepaired).length} started after a repair only`,
    `${outcomes.reduce((sum, { acknowledged }) => sum + acknowledged, 0)} acknowledged`
  ].join("; ")
}

if (process.getuid?.() === 0) enterOwnMountNamespace()
const string = { type: "string" } as const
const { values } = parseArgs({
  options: { operations: string, from: string, step: string, only: string, parallel: string }
})
const operations = Number(values.operations ?? 200)
const faults: Array<Fault> = []
for (let at = Number(values.from ?? 1); at <= operations; at += Number(values.step ?? 1))
  faults.push(...atOperation(at))
faults.push(...smallDisksMiB.map(smallDisk), ...fileBytesMax.map(smallFiles))
const wanted = faults.filter(({ name }) => name.includes(values.only ?? ""))

const outcomes: Array<Outcome> = []
const left = wanted.values()
const work = async (): Promise<void> => {
  for (const fault of left) {
    const outcome = await new FaultyRun(fault).run()
    outcomes.push(outcome)
    if (
      outcome.faults.length > 0 ||
      outcome.end === "signal" ||
      outcome.end === "never" ||
      outcomes.length % shownMax === 0
    )
      console.log(shown(outcome))
  }
}
await Promise.all(Array.from({ length: Number(values.parallel ?? 2) }, work))
console.log(summary(outcomes))
process.exit(outcomes.length > 0 && outcomes.every(({ faults }) => faults.length === 0) ? 0 : 1)
