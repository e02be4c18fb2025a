import { execFile } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = fileURLToPath(new URL("../..", import.meta.url))
const buildMsMax = 300_000
const run = promisify(execFile)

/** A build of the server. */
export interface Build {
  readonly name: string
  readonly program: string
}

export interface RefBuild extends Build {
  /** False: it was built with other libraries than its own lock file names. */
  readonly hasSameLibraries: boolean
  readonly remove: () => Promise<void>
}

/** The libraries of this checkout; the workspace's own packages are the worktree's. */
const linkLibraries = (worktree: string): void => {
  const modules = join(worktree, "node_modules")
  mkdirSync(join(modules, "@logbrook"), { recursive: true })
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "@logbrook") symlinkSync(join(root, "node_modules", name), join(modules, name))
  }
  for (const name of readdirSync(join(worktree, "packages"))) {
    symlinkSync(join(worktree, "packages", name), join(modules, "@logbrook", name))
    const own = join(root, "packages", name, "node_modules")
    if (existsSync(own)) symlinkSync(own, join(worktree, "packages", name, "node_modules"))
  }
}

const lockOf = (directory: string): string => readFileSync(join(directory, "package-lock.json"), "utf8")

/** Builds another commit in a worktree of its own. Rejects when there is no such commit, or it does not build. */
export const buildRef = async (ref: string): Promise<RefBuild> => {
  const { stdout } = await run("git", ["rev-parse", "--verify", "--short", `${ref}^{commit}`], { cwd: root })
  const directory = mkdtempSync(join(tmpdir(), "bench-compare-"))
  const worktree = join(directory, "tree")
  const remove = async () => {
    await run("git", ["worktree", "remove", "--force", worktree], { cwd: root })
    rmSync(directory, { recursive: true, force: true })
  }
  await run("git", ["worktree", "add", "--detach", worktree, stdout.trim()], { cwd: root })
  try {
    linkLibraries(worktree)
    await run("npm", ["run", "--silent", "build"], { cwd: worktree, timeout: buildMsMax })
    const bundled = join(worktree, "packages/server/bundle/bin.js")
    const program = existsSync(bundled) ? bundled : join(worktree, "packages/server/dist/bin.js")
    return { name: stdout.trim(), program, hasSameLibraries: lockOf(worktree) === lockOf(root), remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** What `npm run build` has made of this checkout. */
export const ownBuild: Build = { name: "this", program: join(root, "packages/server/bundle/bin.js") }
