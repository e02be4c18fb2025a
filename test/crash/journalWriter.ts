/**
 * Writes into a journal as fast as it can until it is killed, and says on stdout what was acknowledged:
 * `c COUNTER EVENTS` and `r LOG OFFSET`. Anything else that it says is a fault.
 */
import { writeSync } from "node:fs"
import { noHeaders } from "@logbrook/core/Record"
import type { PartitionBatch } from "@logbrook/core/shard/Intake"
import * as Exit from "effect/Exit"
import { addend, counters, logs, makeShard, openJournal, valueAt } from "./journalLoad.ts"
import { newestState } from "../../packages/core/test/support/newestState.ts"

const [directory, seed, bytesMax] = [process.argv[2]!, Number(process.argv[3]), Number(process.argv[4])]
const cell = new Int32Array(new SharedArrayBuffer(4))

/** Waits for a reader that is slow: on a busy machine the pipe is full now and then. */
const say = (line: string): void => {
  let rest = Buffer.from(`${line}\n`)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error
      Atomics.wait(cell, 0, 0, 1)
    }
  }
}

let random = seed
/** 0 to `below` - 1; mulberry32. */
const draw = (below: number): number => {
  random = (random + 0x6d2b79f5) | 0
  let mixed = Math.imul(random ^ (random >>> 15), 1 | random)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below
}

const shard = makeShard(openJournal(directory), say)
shard.recover()
shard.start((defect) => say(`fault ${String(defect)}`))

/** Of each counter, how many events it has; every one is noted, so that its count can be told from its state. */
const events = Array.from({ length: counters }, (_, i) =>
  newestState<{ notes: Array<Buffer> }>(shard.actors, `counter/${i}`)
)
const added = events.map((state) => (state === undefined ? 0 : Number(state.notes.at(-1)!.toString())))
const offsets = Array.from({ length: logs }, (_, i) => shard.logs.log(i + 1).highWatermark)
let bytes = 0

const addTo = (counter: number): void => {
  const event = added[counter]!++
  const to = `counter/${counter}`
  shard.offer({ to, command: { _tag: "Add", n: addend(counter, event) }, cause: { origin: "load" } })
  // Both are decided in one turn: a commit that is torn between them shows.
  const note = { _tag: "Note", bytes: Buffer.from(String(event + 1)) }
  const reply = (exit: Exit.Exit<unknown, unknown>): void =>
    say(Exit.isSuccess(exit) ? `c ${counter} ${event + 1}` : `refused ${String(exit.cause)}`)
  shard.offer({ to, command: note, cause: { origin: "load" }, reply })
}

const receiver = {
  acked: (_token: number, batch: PartitionBatch | undefined, index: number): void =>
    say(
      batch?.refusal === undefined
        ? `r ${batch!.logId} ${batch!.baseOffset + index}`
        : `refused ${String(batch.refusal)}`
    )
}

const publishTo = (logId: number): void => {
  const batch = shard.partitionBatch(logId, "load")
  const value = valueAt(logId, offsets[logId - 1]!++)
  if (!batch.records.append(null, value, noHeaders, 1_800_000_000_000)) throw new Error("a partition batch is full")
  bytes += value.length
  shard.recordsAdded(value.length)
  shard.ack(receiver, 0, batch, batch.records.count - 1)
}

const load = (): void => {
  for (let i = draw(16); i > 0; i--) addTo(draw(counters))
  const writes = [0, 1, 3, 10, 60][draw(5)]!
  for (let i = 0; i < writes; i++) publishTo(1 + draw(logs))
  if (bytes < bytesMax) setImmediate(load)
  else setTimeout(load, 20)
}
load()
