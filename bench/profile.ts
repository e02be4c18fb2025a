// Where the server's CPU goes under one MQTT load: `node bench/profile.ts qos1-100 [seconds]` after a build.
// A profile sees the main thread only, and slows it a little; what LMDB writes on its own thread is not in it.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { LoadProcess } from "./load/LoadProcess.ts"
import { mqttShapes } from "./scenarios/shapes.ts"
import { createStream, startLogbrook } from "./servers/logbrook.ts"
import { cpuMs } from "./servers/processes.ts"

interface CpuProfile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

const entriesMax = 45

/** Share of the time that was not idle, by function, its own time alone. */
const selfTimes = ({ nodes, samples, timeDeltas }: CpuProfile): Array<readonly [name: string, share: number]> => {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const place = url === "" ? "" : ` ${url.split("/").slice(-3).join("/")}:${lineNumber + 1}`
      return [id, `${functionName === "" ? "(anonymous)" : functionName}${place}`]
    })
  )
  const times = new Map<string, number>()
  let total = 0
  samples.forEach((id, index) => {
    const name = names.get(id)!
    if (name === "(idle)") return
    total += timeDeltas[index]!
    times.set(name, (times.get(name) ?? 0) + timeDeltas[index]!)
  })
  return Array.from(times, ([name, time]) => [name, time / total] as const).toSorted((a, b) => b[1] - a[1])
}

const profile = async (name: string, seconds: number): Promise<void> => {
  const load = new LoadProcess(cpus().length > 1 ? "1" : "0")
  const directory = mkdtempSync(join(tmpdir(), "bench-profile-"))
  const { shape } = mqttShapes.get(name)!
  try {
    const server = await startLogbrook("0", ["--cpu-prof", `--cpu-prof-dir=${directory}`])
    await createStream(server, { name: "sensors", filters: ["sensors/+/data"], partitions: 16 })
    await load.call("connect", { name, port: server.mqttPort, shape })
    const before = cpuMs(server.pid)
    const { messages, elapsedMs } = await load.call("slice", { name, durationMs: seconds * 1000 })
    const cpuUs = ((cpuMs(server.pid) - before) * 1000) / messages
    await load.call("disconnect", { name })
    await server.stop()
    console.log(`${name}: ${Math.round(messages / elapsedMs)} k/s, ${cpuUs.toFixed(2)} µs of CPU per message`)
    for (const file of readdirSync(directory)) {
      const times = selfTimes(JSON.parse(readFileSync(join(directory, file), "utf8")) as CpuProfile)
      for (const [entry, share] of times.slice(0, entriesMax))
        console.log(`${(share * 100).toFixed(1)} %`.padStart(7), entry)
    }
  } finally {
    await load.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

const [name = "qos1-100", seconds = "5"] = process.argv.slice(2)
if (!mqttShapes.has(name)) {
  console.log(`node bench/profile.ts ${Array.from(mqttShapes.keys()).join("|")} [seconds]`)
  process.exitCode = 2
} else await profile(name, Number(seconds))
