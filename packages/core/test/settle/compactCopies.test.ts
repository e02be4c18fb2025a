import { join } from "node:path"
import { backUp } from "@logbrook/core/backup/Backup"
import { restore } from "@logbrook/core/backup/Restore"
import { expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { cleanDoctor, CompactedHistory, definitions, logIds } from "./CompactedHistory.ts"
import { History } from "./History.ts"

const fromMs = 1_900_000_000_000
const pause = (): void => undefined

interface Point {
  readonly seq: number
  readonly ends: ReadonlyArray<number>
}

/** Three closed segments that were compacted, and where each commit of theirs ends. */
const compactedHistory = async (): Promise<{ model: CompactedHistory; points: ReadonlyArray<Point> }> => {
  const model = new CompactedHistory(await History.open(temporaryDirectory()))
  const { history } = model
  const points: Array<Point> = []
  for (let segment = 0; segment < 3; segment++) {
    for (let i = 0; i < 6; i++) {
      for (const logId of logIds)
        model.append(
          logId,
          [...Array(9).keys()].map((n) => [(5 * i + n) % 24, n === i])
        )
      await history.flush()
      const ends = logIds.map((logId) => history.kept.get(logId)!.length)
      points.push({ seq: history.journal.nextSeq - 1, ends })
    }
    await history.roll()
  }
  await model.compact()
  model.check(1e9)
  return { model, points }
}

it("compacted logs are backed up and restored, and up to any point without what was compacted since", async () => {
  const { model, points } = await compactedHistory()
  const { history } = model
  const backup = join(temporaryDirectory(), "backup")
  await backUp({ dataDir: history.directory, target: backup, nowMs: () => fromMs, pause })
  const read = logIds.map((logId) => model.read(logId, 1e9))
  await history.close()
  for (const until of [undefined, ...points]) {
    const dataDir = join(temporaryDirectory(), "restored")
    const to = until && { seq: until.seq }
    await restore({ backup, dataDir, definitions, nowMs: () => fromMs, pause, until: to })
    await history.reopen(dataDir)
    logIds.forEach((logId, i) => {
      const end = until?.ends[i] ?? Infinity
      const log = history.harness.shard.logs.log(logId)
      expect(log.highWatermark).toBe(until?.ends[i] ?? history.kept.get(logId)!.length)
      const records = []
      for (let offset = log.startOffset; history.harness.shard.logs.read(log, offset, 1).length > 0;) {
        const fetched = model.fetch(logId, offset, 1e9)
        records.push(...fetched.records)
        offset = fetched.nextOffset
      }
      expect(records).toEqual(read[i]!.filter(({ offset }) => offset < end))
    })
    await history.close()
    await cleanDoctor(dataDir)
  }
})
