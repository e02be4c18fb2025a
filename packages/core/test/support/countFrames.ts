/** Opens a journal read-only, as a tool beside a running server does, and prints how many frames it holds. */
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"

const directory = process.argv[2]!
const journal = openReadOnly(directory)
let frames = 0
journal.scan(1, () => ++frames > 0)
console.log(frames)
await journal.close()
