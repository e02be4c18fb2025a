import * as fs from "node:fs"

/** Names the namespace that the program was started in, so that it knows whether it runs in another. */
const outer = "OUTER_MOUNT_NAMESPACE"

/**
 * Goes on in a mount namespace of its own: the program begins again there, as the same process. What it mounts is seen by
 * nobody else. A namespace that is copied from ours by others (a container, `unshare`) while a file system is mounted keeps it
 * alive after it was unmounted here, and goes on writing to its disk. Needs root, and `unshare` of util-linux.
 */
export const enterOwnMountNamespace = (): void => {
  const own = fs.readlinkSync("/proc/self/ns/mnt")
  const from = process.env[outer]
  if (from !== undefined && from !== own) return
  const unshare = ["unshare", "--mount", "--propagation", "private", process.execPath]
  process.execve!("/usr/bin/env", ["env", ...unshare, ...process.execArgv, ...process.argv.slice(1)], {
    ...process.env,
    [outer]: own
  })
}
