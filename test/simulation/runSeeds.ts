import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { makePlan, type Plan } from "./Plan.ts"
import { type Outcome, Simulation } from "./Simulation.ts"
import { shrink } from "./shrink.ts"

const commit = (): string => {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim()
  } catch {
    return "unknown"
  }
}

/** Each frame behind its length, u32 little-endian: what a journal's timeline held, dropped segments too. */
const writeFrames = (file: string, frames: ReadonlyArray<Buffer>): void => {
  const pieces = frames.flatMap((frame) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(frame.length)
    return [length, frame]
  })
  writeFileSync(file, Buffer.concat(pieces))
}

/** Makes the failure smaller, and leaves its plan, trace and journal in a directory of its own. */
const report = async (plan: Plan, outcome: Outcome, out: string): Promise<void> => {
  console.log(`seed ${plan.seed} at commit ${commit()}: ${outcome.violation}`)
  const smaller = await shrink(plan)
  const last = await new Simulation(smaller.plan, {}, true).run()
  const directory = join(out, `seed-${plan.seed}`)
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "plan.json"), JSON.stringify(smaller.plan, null, 2))
  writeFileSync(join(directory, "trace.txt"), `${last.trace.join("\n")}\n`)
  writeFrames(join(directory, "frames.bin"), last.frames)
  const { clients, mishaps } = smaller.plan
  console.log(
    `  smaller (${smaller.runs} runs): ${clients.length} clients, ${mishaps.length} mishaps: ${last.violation}`
  )
  console.log(`  npm run simulate -- --plan ${join(directory, "plan.json")} --trace`)
}

export const runOne = async (plan: Plan, withTrace: boolean, out: string): Promise<boolean> => {
  const outcome = await new Simulation(plan, {}, withTrace).run()
  if (withTrace) console.log(outcome.trace.join("\n"))
  else if (outcome.violation !== undefined) await report(plan, outcome, out)
  console.log(`${outcome.violation ?? "every invariant held"}; hash ${outcome.hash}`)
  return outcome.violation === undefined
}

/** Reports of this many failures; the others are counted. */
const reportsMax = 5

export const runSeeds = async (from: number, count: number, out: string): Promise<boolean> => {
  const hash = createHash("sha256")
  const sums = {
    lives: 0,
    mishaps: 0,
    events: 0,
    messages: 0,
    steps: 0,
    settled: 0,
    rewritten: 0,
    compacted: 0,
    gone: 0,
    tombstonesGone: 0,
    simulatedMs: 0
  }
  let failures = 0
  for (let seed = from; seed < from + count; seed++) {
    const plan = makePlan(seed)
    const outcome = await new Simulation(plan).run()
    hash.update(outcome.hash)
    for (const name of Object.keys(sums) as Array<keyof typeof sums>) sums[name] += outcome[name]
    if (outcome.violation === undefined) continue
    if (++failures <= reportsMax) await report(plan, outcome, out)
  }
  const { lives, mishaps, events, messages, steps, settled, rewritten, compacted, gone, tombstonesGone, simulatedMs } =
    sums
  console.log(
    `${count} seeds, ${(simulatedMs / 3_600_000).toFixed(1)} h simulated in ${steps} steps: ${lives - count} restarts, ` +
      `${mishaps} mishaps, ${events} events, ${messages} records, ${settled} segments settled, ${rewritten} rewritten or merged, ` +
      `${compacted} compacted: ${gone} records gone, ${tombstonesGone} of them tombstones`
  )
  console.log(`${failures} of ${count} failed; hash ${hash.digest("hex").slice(0, 16)}`)
  return failures === 0
}
