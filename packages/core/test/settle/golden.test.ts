import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import { systemClock } from "@logbrook/core/Clock"
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"
import type { Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { Settler } from "@logbrook/core/settle/Settler"
import { recoverShard } from "@logbrook/core/shard/recover"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { describe, expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { recordsIn, replayOf } from "./History.ts"
import { inProcess } from "./inProcess.ts"

const golden = (name: string): string => fileURLToPath(new URL(`./golden/${name}`, import.meta.url))

/**
 * Two segments that Logbrook 0.1.0 wrote before it knew settling: two epochs, frames, chunks, values, producers' batches,
 * log starts, snapshots. `seg-00000001.runs.mdb` is the first one settled by the first version that could.
 */
const unpack = (names: ReadonlyArray<string>): string => {
  const directory = join(temporaryDirectory(), "journal")
  mkdirSync(directory)
  for (const name of names) writeFileSync(join(directory, name), gunzipSync(readFileSync(golden(`${name}.gz`))))
  return directory
}

interface Expected {
  readonly nextSeq: number
  readonly logs: Readonly<Record<string, unknown>>
}

const expected = JSON.parse(readFileSync(golden("expected.json"), "utf8")) as Expected

const opened = <J extends Journal>(journal: J): { journal: J; logs: LogStore } => {
  const logs = new LogStore(journal, 0, 64 * 1024)
  recoverShard({ journal, definitions: [ShardActor, makeCounter(), ToyPartition], clock: systemClock }, logs)
  return { journal, logs }
}

const shown = (logs: LogStore): Record<string, unknown> => {
  const found: Record<string, unknown> = {}
  for (const log of logs.logs()) {
    const records = logs.read(log, log.startOffset, 1e9).flatMap((batch) => recordsIn(batch, new Set()))
    const rows = records.map(({ offset, key, value, timestampMs, headers }) => [
      offset,
      key,
      value,
      timestampMs,
      headers
    ])
    found[log.id] = {
      startOffset: log.startOffset,
      highWatermark: log.highWatermark,
      records: rows.length,
      sha256: createHash("sha256").update(JSON.stringify(rows)).digest("hex")
    }
  }
  return found
}

const wanted = (): Record<string, unknown> => ({ ...expected.logs })

describe("golden segments", () => {
  it("written before settling are read, and settled", async () => {
    const directory = unpack(["seg-00000001.mdb", "seg-00000002.mdb"])
    const old = opened(openReadOnly(directory))
    expect(old.journal.nextSeq).toBe(expected.nextSeq)
    expect(shown(old.logs)).toEqual(wanted())
    const before = replayOf(old.journal)
    expect(before.mismatches).toBe(0)
    await old.journal.close()
    const { journal, logs } = opened(LmdbJournal.open({ directory, segmentBytes: 1e9, segmentRefsMax: 1e6 }))
    const { promise, resolve } = Promise.withResolvers<void>()
    const settler = new Settler({
      journal,
      logs,
      clock: systemClock,
      work: inProcess(),
      onHold: () => undefined,
      onSettled: () => resolve(),
      onFailed: (segment, detail) => expect.fail(`${segment} ${detail}`)
    })
    settler.start()
    await promise
    await settler.stop()
    expect(journal.segments()[0]!.isSettled).toBe(true)
    expect(shown(logs)).toEqual(wanted())
    expect(replayOf(journal)).toEqual(before)
    await journal.close()
  })

  it("that were settled are read", async () => {
    const original = opened(openReadOnly(unpack(["seg-00000001.mdb", "seg-00000002.mdb"])))
    const before = replayOf(original.journal)
    await original.journal.close()
    const { journal, logs } = opened(openReadOnly(unpack(["seg-00000001.runs.mdb", "seg-00000002.mdb"])))
    expect(journal.segments().map(({ isSettled }) => isSettled)).toEqual([true, false])
    expect(shown(logs)).toEqual(wanted())
    expect(replayOf(journal)).toEqual(before)
    await journal.close()
  })
})
