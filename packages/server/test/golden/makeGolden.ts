/**
 * Writes `states-1.gz`, a data directory of the groups' and sessions' first saved states, and `states-1.txt`, what is in it:
 * `node --conditions=source packages/server/test/golden/makeGolden.ts`. What is there is never written again.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { packDirectory } from "../../../core/test/golden/pack.ts"
import { contentsOf } from "./contents.ts"
import { fill, Life, liveGroups, liveSessions } from "./life.ts"

const target = path.join(import.meta.dirname, process.argv[2] ?? "states-1")
if (fs.existsSync(`${target}.gz`)) throw new Error(`${target}.gz is there: it is read for ever`)
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-golden-"))
const life = new Life(directory)
await liveGroups(life)
await liveSessions(life)
await fill(life, 40)
await life.commit("simple", "", -1, 200)
await life.end()
const names = fs.readdirSync(directory).filter((name) => name.endsWith(".mdb"))
fs.writeFileSync(`${target}.gz`, packDirectory(directory, names))
const contents = await contentsOf(directory, false)
fs.writeFileSync(`${target}.txt`, `${contents.join("\n")}\n`)
fs.rmSync(directory, { recursive: true })
