/**
 * What a Produce of 16 KB costs a server beside its store: the real Kafka listener, handlers and shard in a process on
 * a core of its own, over a journal that keeps nothing and says at once that it does; CPU per request, slice by slice, and V8's
 * full collections. `node --conditions=source bench/produceUnstored.ts [slices]`. Proves nothing about the journal.
 */
import { fileURLToPath } from "node:url"
import { systemClock } from "@logbrook/core/Clock"
import type { Commit } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { startKit } from "../packages/server/test/kafka/kit.ts"
import { LoadProcess } from "./load/LoadProcess.ts"
import { startFlags } from "./servers/logbrook.ts"
import { cpuMs, start, until } from "./servers/processes.ts"
import { median } from "./stats.ts"

const topic = "orders"
const partitions = 4
const batches = 50_000
const shape = { topic, partitions, connections: 32, recordsPerBatch: 16, valueBytes: 1000, batches }

class Sink extends MemoryJournal {
  override append(_commit: Commit, done: (failure: undefined) => void): void {
    setImmediate(done, undefined)
  }
}

const serve = async (): Promise<void> => {
  const { listener, createStream } = await startKit({ journal: new Sink(systemClock), limits: { commitPacingMs: 0 } })
  await createStream(topic, { partitions })
  console.log(`port ${listener.port}`)
}

const conduct = async (slices: number): Promise<void> => {
  const program = fileURLToPath(import.meta.url)
  const args = [...startFlags, "--trace-gc", "--conditions=source", program, "serve"]
  const server = start("0", process.execPath, args)
  let said = ""
  server.child.stdout!.on("data", (chunk: Buffer) => (said += chunk.toString()))
  await until("the server listens", 20_000, async () => /port \d+/.test(said))
  const port = Number(/port (\d+)/.exec(said)![1])
  const load = new LoadProcess("1")
  const costs: Array<number> = []
  for (let slice = -1; slice < slices; slice++) {
    said = ""
    const before = cpuMs(server.pid)
    const { elapsedMs } = await load.call("produceAll", { port, ...shape })
    const us = ((cpuMs(server.pid) - before) * 1000) / batches
    const compactions = said.split("Mark-Compact").length - 1
    console.log(
      `${us.toFixed(1)} µs per request, ${((batches * 1000) / elapsedMs).toFixed(0)} requests/s, ` +
        `${((compactions * 1000) / elapsedMs).toFixed(1)} mark-compacts/s${slice < 0 ? " (warming up)" : ""}`
    )
    if (slice >= 0) costs.push(us)
  }
  console.log(`median ${median(costs).toFixed(1)} µs`)
  await load.stop()
  await server.stop()
}

if (process.argv[2] === "serve") await serve()
else await conduct(Number(process.argv[2] ?? 5))
