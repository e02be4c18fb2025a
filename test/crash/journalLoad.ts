import type { Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { oneShard } from "../../packages/core/test/support/oneShard.ts"
import { makeCounter, ToyPartition } from "../../packages/core/test/support/toys.ts"

/** What the killed process writes is a function of where it goes: so anybody can tell what must be there. */
export const counters = 6
export const logs = 60

/** What the event with this number, from 0 on, adds to the counter. */
export const addend = (counter: number, event: number): number => ((counter + 1) * 7919 + event * 104_729) % 1000

const sizes: ReadonlyArray<number> = [20, 100, 100, 1000, 3000, 100, 20, 9000, 100, 40_000]

/** The value of the record at this offset of the log. */
export const valueAt = (logId: number, offset: number): Buffer => {
  const text = `${logId}:${offset};`
  return Buffer.alloc(sizes[(logId * 31 + offset) % sizes.length]!, text)
}

export const definitions = [ShardActor, makeCounter(), ToyPartition]

const segmentBytes = 2_000_000

export const openJournal = (directory: string): LmdbJournal =>
  LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: 1e6 })

export const limits: Limits = { ...defaultLimits, commitPacingMs: 0, snapshotPageBytesMax: 500, tailBytesMax: 100_000 }

export const makeShard = (journal: Journal, onTrouble: (text: string) => void): Shard =>
  oneShard({
    journal,
    limits,
    definitions,
    version: "killed",
    onPoison: (failure) => onTrouble(`poison ${failure.reason} ${failure.detail}`),
    onTrouble: (where, defect) => onTrouble(`defect ${where} ${String(defect)}`)
  })
