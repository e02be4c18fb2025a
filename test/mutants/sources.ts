import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

/** A checkout's files as they are now, without those that git does not know. */
const filesOf = (root: string): ReadonlyArray<string> =>
  execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root })
    .toString("utf8")
    .split("\0")
    .filter((name) => name !== "" && fs.existsSync(path.join(root, name)))

const ours = "@logbrook"

/** Everything that is installed is the checkout's, but for our own packages, which are the copy's. */
const linkModules = (root: string, copy: string): void => {
  const [from, to] = [root, copy].map((base) => path.join(base, "node_modules")) as [string, string]
  fs.mkdirSync(path.join(to, ours), { recursive: true })
  for (const name of fs.readdirSync(from)) if (name !== ours) fs.symlinkSync(path.join(from, name), path.join(to, name))
  for (const name of fs.readdirSync(path.join(from, ours))) {
    fs.symlinkSync(path.join(copy, "packages", name), path.join(to, ours, name))
  }
}

/** A copy of the checkout in which faults may be planted. */
export const copyCheckout = (root: string, copy: string): void => {
  for (const name of filesOf(root)) {
    fs.mkdirSync(path.dirname(path.join(copy, name)), { recursive: true })
    fs.copyFileSync(path.join(root, name), path.join(copy, name))
  }
  linkModules(root, copy)
}
