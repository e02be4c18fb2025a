/**
 * Reads a journal as a tool beside a server does, prints how many frames it holds, and once more after a line of input, or
 * what it is told instead.
 */
import { openReadOnly } from "@logbrook/core/doctor/ReadOnlyChain"

const directory = process.argv[2]!
const journal = openReadOnly(directory)
const count = (): number | string => {
  let frames = 0
  try {
    journal.scan(1, () => ++frames > 0)
  } catch (error) {
    return String(error)
  }
  return frames
}
console.log(count())
process.stdin.once("data", () => {
  console.log(count())
  process.exit(0)
})
