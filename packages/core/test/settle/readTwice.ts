/** Reads a journal as a tool beside a server does, prints how many frames it holds, and once more after a line of input. */
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"

const directory = process.argv[2]!
const journal = LmdbJournal.open({ directory, readOnly: true, segmentBytes: 1e9, segmentRefsMax: 1e6 })
const count = (): number => {
  let frames = 0
  journal.scan(1, () => ++frames > 0)
  return frames
}
console.log(count())
process.stdin.once("data", () => {
  console.log(count())
  process.exit(0)
})
