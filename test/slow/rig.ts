/**
 * Runs unit tests on a machine that is eight times slower: their processes run for 10 ms of every 80, all at once, so that nothing in
 * them notices. `npm run test:slow` for all, or with paths as vitest takes them. `--slowdown N` (8). Linux and macOS.
 */
import { spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"

const runMs = 10

const { values, positionals } = parseArgs({
  options: { slowdown: { type: "string", default: "8" } },
  allowPositionals: true
})
const stopMs = runMs * (Number(values.slowdown) - 1)

const args = ["node_modules/vitest/vitest.mjs", "run", "--project", "unit", ...positionals]
// A process group of its own, with all its workers.
const child = spawn(process.execPath, args, { stdio: "inherit", detached: true })
const end = { code: undefined as number | undefined }
child.on("exit", (code) => (end.code = code ?? 1))
process.on("exit", () => {
  if (end.code === undefined) process.kill(-child.pid!, "SIGKILL")
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))

while (end.code === undefined) {
  await sleep(runMs)
  if (end.code !== undefined) break
  process.kill(-child.pid!, "SIGSTOP")
  await sleep(stopMs)
  process.kill(-child.pid!, "SIGCONT")
}
process.exitCode = end.code
