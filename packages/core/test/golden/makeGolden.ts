/**
 * Writes `format-N.gz`, a data directory of this version's format, and `format-N.txt`, what is in it. Run once for each
 * format: `node --conditions=source packages/core/test/golden/makeGolden.ts`. What is there is never written again:
 * those files are read for ever.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setImmediate } from "node:timers/promises"
import { FrameBuilder, noCause } from "@logbrook/core/journal/Frame"
import type { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { segmentFormat } from "@logbrook/core/journal/LmdbSegment"
import type { CompactionOptions } from "@logbrook/core/settle/Compactions"
import { noHeaders } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { Replay } from "@logbrook/core/shard/Replay"
import type { Shard } from "@logbrook/core/shard/Shard"
import { systemClock } from "@logbrook/core/Clock"
import { encodeRecords } from "../support/commits.ts"
import { startedShard } from "../support/oneShard.ts"
import { contentsOf, goldenDefinitions, goldenLogs, openGolden } from "./contents.ts"
import { inProcess } from "../settle/inProcess.ts"
import { rewriteAll } from "../settle/rewriteAll.ts"
import { packDirectory } from "./pack.ts"

const throwTrouble = (trouble: unknown): never => {
  throw new Error(String(trouble))
}

const sizes: ReadonlyArray<number> = [20, 700, 90, 6000, 2500, 0]

const started = (journal: LmdbJournal): Shard =>
  startedShard({
    journal,
    limits: { snapshotPageBytesMax: 200 },
    definitions: goldenDefinitions,
    version: "golden",
    onTrouble: throwTrouble
  })

/** The server's own record batches in frames, chunks and values; events with causes; snapshots; hashes at the end. */
const live = async (directory: string, firstRound: number, rounds: number): Promise<void> => {
  const journal = openGolden(directory)
  const shard = started(journal)
  for (let round = firstRound; round < firstRound + rounds; round++) {
    for (let counter = 0; counter < 3; counter++) {
      const command = { _tag: "Add", n: round * (counter + 1) }
      shard.offer({ to: `counter/${counter}`, command, cause: { origin: `round ${round}` } })
    }
    for (let logId = 1; logId <= goldenLogs; logId++) {
      const batch = shard.partitionBatch(logId, `publish ${logId}`)
      // In every eighth round the small ones are above 32 KB together.
      const count = round % 8 === 4 ? 1 : (round + logId) % 3
      for (let i = 0; i < count; i++) {
        const bytes = round % 8 === 4 ? 3000 : sizes[(logId + round + i) % sizes.length]!
        const value = Buffer.alloc(bytes, `${logId} ${round} ${i};`)
        batch.records.append(i === 0 ? Buffer.from(`key ${logId}`) : null, value, noHeaders, 1_800_000_000_000 + round)
      }
      shard.recordsAdded(batch.records.byteLength)
    }
    await shard.completed()
    await setImmediate()
  }
  await shard.drained()
  shard.stop()
  await journal.close()
}

const compactedLogs = [4, 6, 7]
const always = { minCleanableDirtyRatio: 0, minCompactionLagMs: 0, maxCompactionLagMs: 0, deleteRetentionMs: 1000 }

/**
 * Most of three logs expires; closed segments are settled; three logs are compacted; what is left of the oldest ones is
 * rewritten and merged, without events that no replay needs.
 */
const settle = async (directory: string): Promise<void> => {
  const journal = openGolden(directory)
  const shard = started(journal)
  for (const logId of [2, 3, 5]) {
    const offset = Math.floor(shard.logs.log(logId).highWatermark * 0.8)
    shard.offer({ to: `partition/${logId}`, command: { _tag: "MoveLogStart", offset }, cause: { origin: "golden" } })
  }
  await shard.completed()
  const keptFromSeq = shard.keptFromSeq(() => false)
  const compaction: CompactionOptions = {
    settings: () => compactedLogs.map((logId) => [logId, always] as const),
    mapBytesMax: 1_000_000
  }
  // The records' times are past by then.
  const clock = { ...systemClock, nowMs: () => 1_900_000_000_000 }
  await rewriteAll({ journal, logs: shard.logs, work: inProcess(), compaction, clock }, 400_000, () => keptFromSeq)
  await shard.drained()
  shard.stop()
  await journal.close()
}

/** Batches as producers send them: in the frame, and as values. */
const produce = async (directory: string): Promise<void> => {
  const journal = openGolden(directory)
  const { states, epoch } = new Replay(goldenDefinitions).run(journal)
  const builder = new FrameBuilder(journal.nextSeq, epoch, systemClock.nowMs())
  const next = states.get("partition/1") as { readonly nextOffset: number }
  let baseOffset = next.nextOffset
  for (const bytes of [300, 9000]) {
    const records = encodeRecords([
      {
        key: "a",
        value: "v".repeat(bytes),
        timestampMs: 1_800_000_001_000,
        headers: [
          ["name", "value"],
          ["none", null]
        ]
      },
      { key: null, value: "", timestampMs: 1_800_000_001_005 }
    ])
    const [baseTimestampMs, maxTimestampMs] = [1_800_000_001_000, 1_800_000_001_005]
    const fields = { baseOffset, partitionLeaderEpoch: epoch, count: 2, baseTimestampMs, maxTimestampMs }
    const batch = RecordBatch.buildBatch(fields, records.bytes.subarray(0, records.byteLength))
    builder.records(
      {
        logId: 1,
        baseOffset,
        count: 2,
        firstTimestampMs: baseTimestampMs,
        maxTimestampMs,
        bytes: batch,
        verbatim: true,
        producer: { id: 4000, epoch: 3, baseSequence: 70_000 + baseOffset }
      },
      { origin: "kafka producer Produce" }
    )
    baseOffset += 2
  }
  builder.event(
    "counter/0",
    0,
    Buffer.from([0x81, 0xa4, 0x5f, 0x74, 0x61, 0x67, 0xa5, 0x57, 0x69, 0x70, 0x65, 0x64]),
    noCause
  )
  const { promise, resolve } = Promise.withResolvers<unknown>()
  journal.append(builder.build().commit, resolve)
  if ((await promise) !== undefined) throw new Error("the journal failed")
  await journal.close()
}

const target = path.join(import.meta.dirname, `format-${segmentFormat}`)
if (fs.existsSync(`${target}.gz`))
  throw new Error(`${target}.gz is there: it is read for ever, and never written again`)
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-golden-"))
await live(directory, 0, 16)
await settle(directory)
await live(directory, 16, 10)
await produce(directory)
const names = fs.readdirSync(directory).filter((name) => name.endsWith(".mdb"))
fs.writeFileSync(`${target}.gz`, packDirectory(directory, names))
fs.writeFileSync(`${target}.txt`, `${contentsOf(directory).join("\n")}\n`)
fs.rmSync(directory, { recursive: true })
