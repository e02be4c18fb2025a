/**
 * Damages copies of a data directory, one after the other, and says of each on stdout what became of it:
 * `N MUTATION: clean|named same|refused|differs`. `named`: doctor tells of damage; `refused`: a server says so, `again` at
 * the next start, which finds that the one before has ended without letting go.
 * A process of its own, since LMDB may end it.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { definitions } from "../crash/journalLoad.ts"
import { readAll, type Contents } from "./doctorJournal.ts"

const [whole, work, from, to] = [process.argv[2]!, process.argv[3]!, Number(process.argv[4]), Number(process.argv[5])]
const expected = JSON.parse(process.argv[6]!) as ReadonlyArray<Contents>
const isAgain = process.argv[7] === "again"

/** mulberry32, of one mutation. */
const drawOf = (seed: number) => {
  let random = seed
  return (below: number): number => {
    random = (random + 0x6d2b79f5) | 0
    let mixed = Math.imul(random ^ (random >>> 15), 1 | random)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** Mostly single bits anywhere; some where LMDB's pages begin, in the meta pages, and truncations. */
const damage = (n: number): string => {
  const draw = drawOf(n * 7919 + 1)
  const names = fs.readdirSync(work).filter((name) => name.endsWith(".mdb"))
  const name = names[draw(names.length)]!
  const file = path.join(work, name)
  const bytes = fs.readFileSync(file)
  const kind = draw(10)
  if (kind === 0) {
    const length = draw(3) === 0 ? 4096 * draw(bytes.length / 4096) : draw(bytes.length)
    fs.truncateSync(file, length)
    return `${name} cut to ${length} of ${bytes.length}`
  }
  const page = draw(bytes.length / 4096)
  const at = kind === 1 ? draw(8192) : kind < 5 ? page * 4096 + draw(200) : draw(bytes.length)
  const bit = draw(8)
  bytes[at]! ^= 1 << bit
  const descriptor = fs.openSync(file, "r+")
  fs.writeSync(descriptor, bytes, at, 1, at)
  fs.closeSync(descriptor)
  return `${name} bit ${bit} of byte ${at} (page ${Math.floor(at / 4096)}, ${at % 4096})`
}

const served = async (): Promise<string> => {
  try {
    const found = await readAll(work)
    return JSON.stringify(found) === JSON.stringify(expected) ? "same" : `differs`
  } catch {
    return "refused"
  }
}

const run = async (n: number): Promise<void> => {
  fs.rmSync(work, { recursive: true, force: true })
  fs.mkdirSync(work)
  for (const name of fs.readdirSync(whole)) fs.copyFileSync(path.join(whole, name), path.join(work, name))
  fs.writeSync(1, `${n} ${damage(n)}: `)
  const { isClean } = await diagnose({ directory: work, definitions, pause: () => undefined })
  fs.writeSync(1, `${isClean ? "clean" : "named"} `)
  fs.writeSync(1, `${await served()}\n`)
}

if (isAgain) fs.writeSync(1, `${await served()}\n`)
else for (let n = from; n < to; n++) await run(n)
