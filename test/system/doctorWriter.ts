/** Appends commits of one event, one after the other, so many at least and until stdin ends; says on stdout which seq is acknowledged. */
import { writeSync } from "node:fs"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"

const [directory, commits] = [process.argv[2]!, Number(process.argv[3])]
const journal = LmdbJournal.open({ directory, segmentBytes: 1e6, segmentRefsMax: 1e6 })
const payload = Buffer.alloc(200, "event")
process.stdin.resume()
for (let i = 0; i < commits || !process.stdin.readableEnded; i++) {
  const builder = new FrameBuilder(journal.nextSeq, 1, 1_800_000_000_000)
  builder.event(`toy/${i % 7}`, 1, payload, {})
  const { promise, resolve } = Promise.withResolvers<unknown>()
  journal.append(builder.build().commit, resolve)
  if ((await promise) !== undefined) throw new Error("the journal failed")
  writeSync(1, `${journal.nextSeq - 1}\n`)
}
await journal.close()
