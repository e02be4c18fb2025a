import { createHash } from "node:crypto"
import { noHeaders } from "@logbrook/core/Record"
import { stateHash } from "@logbrook/core/actor/pack"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import type { Shard } from "@logbrook/core/shard/Shard"
import { addend, counters, definitions, makeShard } from "../crash/journalLoad.ts"
import { newestState } from "../../packages/core/test/support/newestState.ts"

const segmentBytes = 60_000
export const smallLogs = 9

export const openSmall = (directory: string): LmdbJournal =>
  LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 })

const throwTrouble = (trouble: unknown): never => {
  throw trouble instanceof Error ? trouble : new Error(String(trouble))
}

/** Records in frames, in chunks, and as values of their own. */
const sizes: ReadonlyArray<number> = [20, 700, 90, 6000, 2500]

const addTo = (shard: Shard, counter: number, n: number): void =>
  void shard.offer({ to: `counter/${counter}`, command: { _tag: "Add", n }, cause: { origin: `load ${n}` } })

const publishTo = (shard: Shard, logId: number, round: number): void => {
  const batch = shard.partitionBatch(logId, `publish ${logId}`)
  const size = sizes[(logId + round) % sizes.length]!
  for (let i = 0; i < 1 + (round % 3); i++) {
    const value = Buffer.alloc(size, `${logId} ${round} ${i};`)
    if (!batch.records.append(null, value, noHeaders, 1_800_000_000_000 + round))
      throw new Error("a partition batch is full")
  }
  shard.recordsAdded(batch.records.byteLength)
}

/** Appends `rounds` turns, among them some of over 32 KB, and stops in order. */
export const liveOn = async (directory: string, rounds: number, firstRound = 0): Promise<void> => {
  const journal = openSmall(directory)
  const shard = makeShard(journal, throwTrouble)
  shard.recover()
  shard.start(throwTrouble)
  for (let round = firstRound; round < firstRound + rounds; round++) {
    for (let counter = 0; counter < counters; counter++) {
      if ((counter + round) % 3 !== 0) addTo(shard, counter, addend(counter, round))
    }
    for (let logId = 1; logId <= smallLogs; logId++) {
      if (round % 7 === 3 || (logId * round) % 5 === 1) publishTo(shard, logId, round)
    }
    await shard.completed()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await shard.drained()
  shard.stop()
  await journal.close()
}

/** All that a reader can be given. */
export interface Contents {
  readonly nextSeq: number
  readonly states: string
  /** By log: start, end, and a hash of every record. */
  readonly logs: ReadonlyArray<string>
}

const statesOf = (shard: Shard): string => {
  const saved = definitions.flatMap((definition) =>
    shard.actors
      .ofKind({ name: definition.kind })
      .toSorted()
      .map((id) => [id, definition.save(newestState(shard.actors, id) as never)])
  )
  return stateHash(saved).toString("hex")
}

const contentsOf = (journal: LmdbJournal, shard: Shard): Contents => {
  const logs = Array.from({ length: smallLogs }, (_, i) => {
    const log = shard.logs.log(i + 1)
    const hash = createHash("sha256")
    for (let at = 0; at < log.index.count; at++) {
      for (const batch of shard.logs.read(log, log.index.at(at).baseOffset, 1)) hash.update(batch)
    }
    return `${log.startOffset} ${log.highWatermark} ${hash.digest("hex")}`
  })
  return { nextSeq: journal.nextSeq, states: statesOf(shard), logs }
}

/** Opens as a server does, and reads everything. Throws what a server would. */
export const readOnce = async (directory: string): Promise<Contents> => {
  const journal = openSmall(directory)
  try {
    const shard = makeShard(journal, throwTrouble)
    shard.recover()
    return contentsOf(journal, shard)
  } finally {
    await journal.close()
  }
}

/** The same before and after it has gone on. */
export const readAll = async (directory: string): Promise<ReadonlyArray<Contents>> => {
  const before = await readOnce(directory)
  await liveOn(directory, 3, 1000)
  const { nextSeq, logs } = await readOnce(directory)
  // A state holds the times of what has just happened.
  return [before, { nextSeq, logs, states: "" }]
}
