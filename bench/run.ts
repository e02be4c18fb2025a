// One command for all that is measured beside other servers: `node bench/run.ts [scenario…] [options]` after a build.
import { mkdirSync, writeFileSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { compare } from "./compare/compare.ts"
import { comparisons } from "./compare/readings.ts"
import { LoadProcess } from "./load/LoadProcess.ts"
import { describeMachine, formatBars, formatTable } from "./report.ts"
import { growthCurves } from "./scenarios/curves.ts"
import { deviceWrites } from "./scenarios/deviceWrites.ts"
import { fanOut, fanOuts } from "./scenarios/fanOut.ts"
import { footprint } from "./scenarios/footprint.ts"
import { kafkaPeers } from "./scenarios/kafkaPeers.ts"
import { kafkaThroughput } from "./scenarios/kafkaThroughput.ts"
import { latency } from "./scenarios/latency.ts"
import { limits } from "./scenarios/limits.ts"
import { mqttThroughput } from "./scenarios/mqttThroughput.ts"
import { recovery } from "./scenarios/recovery.ts"
import type { Bench, Outcome, Scenario } from "./scenarios/Scenario.ts"
import { sessions } from "./scenarios/sessions.ts"
import { mqttLoads } from "./scenarios/shapes.ts"
import { tls } from "./scenarios/tls.ts"
import { stopAll } from "./servers/processes.ts"
import { chartSvg } from "./svg.ts"

/** In the order of a whole run. */
const scenarios: ReadonlyMap<string, Scenario> = new Map([
  ...Array.from(mqttLoads, ([name, asked]): [string, Scenario] => [name, mqttThroughput(name, asked)]),
  ...Array.from(fanOuts, ([name, asked]): [string, Scenario] => [name, fanOut(name, asked)]),
  ["kafka", kafkaThroughput],
  ["kafka-peers", kafkaPeers],
  ["limits", limits],
  ["latency", latency],
  ["device-writes", deviceWrites],
  ["footprint", footprint],
  ["recovery", recovery],
  ["tls", tls],
  ["sessions", sessions],
  ["curves", growthCurves]
])

const usage = `node bench/run.ts [scenario...] [--quick] [--rounds N] [--slice-ms N] [--server-cpus 0] [--client-cpus 1] [--json FILE] [--svg DIRECTORY]
scenarios: ${Array.from(scenarios.keys()).join(", ")}; all of them when none is named
--compare REF: this build beside that of another commit; ${Array.from(comparisons.keys()).join(", ")}; exits with 1 when something got slower`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    "slice-ms": { type: "string" },
    "server-cpus": { type: "string", default: "0" },
    "client-cpus": { type: "string", default: cpus().length > 1 ? "1" : "0" },
    compare: { type: "string" },
    svg: { type: "string" },
    json: { type: "string", default: join(tmpdir(), "logbrook-bench.json") },
    help: { type: "boolean", default: false }
  }
})

const count = (given: string | undefined, byDefault: number): number => {
  const number = given === undefined ? byDefault : Number(given)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${given} is not a whole number above 0\n${usage}`)
  return number
}

/** The curves of all outcomes, in a directory that is made for them. */
const writeCharts = (directory: string, outcomes: ReadonlyArray<Outcome>): void => {
  mkdirSync(directory, { recursive: true })
  for (const chart of outcomes.flatMap(({ charts = [] }) => charts)) {
    writeFileSync(join(directory, `${chart.name}.svg`), chartSvg(chart))
  }
}

const makeBench = (quickRounds: number): Bench => ({
  load: new LoadProcess(values["client-cpus"]),
  serverCpus: values["server-cpus"],
  clientCpus: values["client-cpus"],
  rounds: count(values.rounds, values.quick ? quickRounds : 5),
  sliceMs: count(values["slice-ms"], values.quick ? 500 : 3000),
  isQuick: values.quick,
  progress: (line) => process.stderr.write(`${line}\n`)
})

/** A scenario that fails is told, and the others are run all the same; tells whether all went through. */
const run = async (names: ReadonlyArray<string>): Promise<boolean> => {
  const machine = await describeMachine()
  console.log(JSON.stringify(machine))
  const began = new Date()
  const outcomes: Array<Outcome> = []
  for (const name of names) {
    const startedMs = performance.now()
    const bench = makeBench(1)
    try {
      const outcome = await scenarios.get(name)!(bench)
      outcomes.push(outcome)
      for (const table of outcome.tables) console.log(formatTable(table))
    } catch (error) {
      console.error(`${name} failed:`, error)
    } finally {
      await stopAll()
    }
    bench.progress(`${name} took ${((performance.now() - startedMs) / 1000).toFixed(0)} s`)
  }
  console.log(formatBars(outcomes))
  if (values.svg !== undefined) writeCharts(values.svg, outcomes)
  const seconds = Math.round((Date.now() - began.getTime()) / 1000)
  writeFileSync(values.json, JSON.stringify({ began, seconds, quick: values.quick, machine, outcomes }, undefined, 2))
  console.log(`\n${seconds} s; everything measured is in ${values.json}`)
  return outcomes.length === names.length
}

const main = async (known: ReadonlyMap<string, unknown>): Promise<number> => {
  const names = positionals.length === 0 ? Array.from(known.keys()) : positionals
  const unknown = names.filter((name) => !known.has(name))
  if (values.help || unknown.length > 0) {
    console.log(unknown.length > 0 ? `no scenario ${unknown.join(", ")}\n${usage}` : usage)
    return unknown.length > 0 ? 2 : 0
  }
  if (values.compare === undefined) return (await run(names)) ? 0 : 1
  try {
    return (await compare(makeBench(3), values.compare, names)) ? 1 : 0
  } finally {
    await stopAll()
  }
}

process.exitCode = await main(values.compare === undefined ? scenarios : comparisons)
