/** Opens a journal read-only, as a tool beside a running server does, and prints how many frames it holds. */
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"

const directory = process.argv[2]!
const journal = LmdbJournal.open({ directory, readOnly: true, segmentBytes: 1e9, segmentRefsMax: 1e6 })
let frames = 0
journal.scan(1, () => ++frames > 0)
console.log(frames)
await journal.close()
