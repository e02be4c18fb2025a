/**
 * Writes `NAME.gz`, a data directory of groups and sessions as this version saves them, and `NAME.txt`, what is in it. Run once
 * for each shape of their states: `node --conditions=source packages/server/test/golden/makeGolden.ts states-6`. What is there
 * is never written again: those files are read for ever.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { packDirectory } from "../../../core/test/golden/pack.ts"
import { contentsOf } from "./contents.ts"
import { fill, Life, liveGroups, liveSessions } from "./life.ts"

const [, , name] = process.argv
if (name === undefined) throw new Error("the files need a name, such as states-6")
const target = path.join(import.meta.dirname, name)
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
