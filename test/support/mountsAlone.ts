import * as fs from "node:fs"
import * as path from "node:path"
import { enterOwnMountNamespace } from "./mountNamespace.ts"
import { outputOf } from "./runCommand.ts"

enterOwnMountNamespace()
/** A program that mounts a small disk, writes to it, says so, and stays until its input ends. */
const directory = process.argv[2]!
await outputOf("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", directory])
fs.writeFileSync(path.join(directory, "inside"), "")
console.log("mounted")
process.stdin.resume()
