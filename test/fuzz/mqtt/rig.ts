/**
 * Mutated MQTT conversations over three servers in one process, without sockets and over a journal in memory: whole, byte by byte and in
 * random pieces a client has the same fate, nothing throws or hangs, and no answer is lost at a close.
 *
 *     npm run fuzz:mqtt -- --count 1000000 --seed 7     the million conversations of seed 7
 *     npm run fuzz:mqtt -- --count 100000000            those of seeds 1 to 100
 *     npm run fuzz:mqtt -- --replay 7001234             what this one says, and what becomes of it
 *
 * `--workers N`: threads, by default one for each core. Exits with 0 only if nothing was found, and enough was compared.
 */
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"
import { areEnough, type Extents, noExtents, sumOfExtents, told as toldOf } from "./extents.ts"
import { replay } from "./replay.ts"
import type { Told, Work } from "./worker.ts"

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    workers: { type: "string", default: String(availableParallelism()) },
    replay: { type: "string" }
  }
})

/** Numbers of a seed's conversations: those of different seeds are different. */
const perSeed = 1_000_000
/** So long that only what hangs takes it for a hundred conversations, on whatever machine. */
const hangMs = 300_000
const tellEveryMs = 30_000
const foundMax = 20

interface Carried {
  /** Conversations. */
  readonly done: number
  readonly extents: Extents
}

/** Resolves at the end; stops at a hang, and when as much was found as anybody reads. */
const carried = (work: Work, found: (number: number, message: string) => boolean): Promise<Carried> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData: work })
    let at: Extract<Told, { _tag: "At" }> = { _tag: "At", number: work.from, done: 0 }
    const ends = (done: number, extents = noExtents()): void => {
      clearTimeout(watch)
      void worker.terminate()
      resolve({ done, extents })
    }
    const hangs = (): void => {
      found(at.number, "one of the hundred conversations from here on does not end")
      ends(at.done)
    }
    let watch = setTimeout(hangs, hangMs)
    worker.on("message", (told: Told) => {
      if (told._tag === "Found") {
        if (!found(told.number, told.message)) ends(at.done)
      } else if (told._tag === "Done") ends(told.done, told.extents)
      else {
        at = told
        doneBy[work.worker] = told.done
        clearTimeout(watch)
        watch = setTimeout(hangs, hangMs)
      }
    })
    worker.on("error", reject)
  })

const doneBy: Array<number> = []
const sumOf = (counts: ReadonlyArray<number>): number => counts.reduce((sum, count) => sum + count, 0)

const run = async (count: number, seed: number, workers: number): Promise<boolean> => {
  const from = seed * perSeed
  let finds = 0
  const found = (number: number, message: string): boolean => {
    console.log(`conversation ${number}: ${message}\n  npm run fuzz:mqtt -- --replay ${number}\n`)
    return ++finds < foundMax
  }
  const startMs = performance.now()
  const rate = (done: number): string => `${Math.round((done * 1000) / (performance.now() - startMs))} a second`
  const telling = setInterval(() => console.log(`${sumOf(doneBy)} conversations, ${rate(sumOf(doneBy))}`), tellEveryMs)
  const each = Array.from({ length: workers }, (_, worker) =>
    carried({ from, end: from + count, worker, of: workers }, found)
  )
  const all = await Promise.all(each)
  const done = sumOf(all.map((part) => part.done))
  const extents = sumOfExtents(all.map((part) => part.extents))
  clearInterval(telling)
  const { user, system } = process.cpuUsage()
  const cpuS = Math.round((user + system) / 1e6)
  console.log(
    `${done} conversations from ${from} on, each three times, ${rate(done)}, ${cpuS} s of CPU; ${finds} found`
  )
  console.log(toldOf(extents))
  if (!areEnough(extents)) console.log("too few of them were compared in full")
  return finds === 0 && done === count && areEnough(extents)
}

const isOk =
  values.replay === undefined
    ? await run(Number(values.count), Number(values.seed), Number(values.workers))
    : replay(Number(values.replay))
process.exitCode = isOk ? 0 : 1
