/** Reads a journal as a tool beside a server does, prints how many frames it holds, and once more after a line of input. */
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"

const directory = process.argv[2]!
const journal = openReadOnly(directory)
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
