import { parentPort, workerData } from "node:worker_threads"
import { Batch, batchSize, Finding } from "./Batch.ts"
import { addTo, type Extents, noExtents } from "./extents.ts"
import { Turns } from "./Turns.ts"

/** Which conversations a worker takes: every `of`-th batch from its own on. */
export interface Work {
  readonly from: number
  readonly end: number
  readonly worker: number
  readonly of: number
}

/** Told now and then, so that a hang has a number; of what was found; and at the end. */
export type Told =
  | { readonly _tag: "At"; readonly number: number; readonly done: number }
  | { readonly _tag: "Found"; readonly number: number; readonly message: string }
  | { readonly _tag: "Done"; readonly done: number; readonly extents: Extents }

const tellEvery = 100

const tell = (told: Told): void => parentPort!.postMessage(told, [])

/** Clients break the protocol all the time: an error for each would take longer than what it refuses. */
Error.stackTraceLimit = 0

const work = ({ from, end, worker, of }: Work): void => {
  const turns = new Turns()
  const extents = noExtents()
  let done = 0
  for (let at = Math.floor(from / batchSize) + worker; at * batchSize < end; at += of) {
    const batch = new Batch(turns)
    for (let number = Math.max(from, at * batchSize); number < Math.min(end, (at + 1) * batchSize); number++) {
      if (number % tellEvery === 0) tell({ _tag: "At", number, done })
      try {
        addTo(extents, batch.converse(number))
      } catch (error) {
        if (!(error instanceof Finding)) throw error
        tell({ _tag: "Found", number, message: error.message })
        // What comes next would find servers that differ.
        break
      }
      done++
    }
  }
  turns.restore()
  tell({ _tag: "Done", done, extents })
}

work(workerData as Work)
