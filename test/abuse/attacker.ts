import { parentPort, workerData } from "node:worker_threads"
import type { Ports } from "./Attack.ts"
import { attacks } from "./attacks/all.ts"

// One attack in a thread of its own, so that it costs the good client nothing but the server's attention. It begins and
// ends as it is told, any number of times.

export interface AttackerData {
  readonly name: string
  readonly ports: Ports
  readonly scale: number
}

/** What it did, and what became of it, by name. */
export type Tally = ReadonlyMap<string, number>

const { name, ports, scale } = workerData as AttackerData
const tally = new Map<string, number>()
const count = (what: string, by = 1): void => void tally.set(what, (tally.get(what) ?? 0) + by)
let stopping = new AbortController()
parentPort!.on("message", (told: "begin" | "end") => {
  if (told === "end") return stopping.abort()
  stopping = new AbortController()
  const over = attacks.get(name)!({ ports, scale, count, signal: stopping.signal })
  void over.then(() => parentPort!.postMessage(tally, []))
  return undefined
})
parentPort!.postMessage("ready", [])
