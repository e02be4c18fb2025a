import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { ServerProcess } from "../support/server.ts"
import { isSettling } from "./phases.ts"

/** When a kill comes. What was really under way is told by the files that are left. */
export const moments = ["any time", "after a roll", "settling", "stopping", "backup"] as const

export type Moment = (typeof moments)[number]

const loadMsMin = 150
const loadMsMax = 900
const momentWithinMs = 4000
/** The snapshot that a roll begins takes a few turns. */
const afterRollMsMax = 25
const settlingMsMax = 60
const stoppingMsMax = 200
const backupMsMax = 400

/** Resolves with the first change of the directory whose name fits, or after a while. */
const changed = async (directory: string, fits: RegExp): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const watcher = fs.watch(directory, (_, name) => {
    if (name !== null && fits.test(name)) resolve()
  })
  await Promise.race([promise, sleep(momentWithinMs, undefined, { ref: false })])
  watcher.close()
}

/** Kills the server at such a moment; true if it had ended before. `backupDir` gets a backup, or what is there of it then. */
export const killAt = async (
  moment: Moment,
  server: ServerProcess,
  backupDir: string,
  random: () => number
): Promise<boolean> => {
  await sleep(loadMsMin + random() * (moment === "any time" ? loadMsMax - loadMsMin : 0))
  switch (moment) {
    case "any time":
      break
    case "after a roll":
      await changed(server.dataDir, /^seg-\d+\.mdb(\.tmp)?$/)
      await sleep(random() * afterRollMsMax)
      break
    case "settling":
      if (!isSettling(server.dataDir)) await changed(server.dataDir, /\.runs/)
      await sleep(random() * settlingMsMax)
      break
    case "stopping":
      process.kill(server.pid, "SIGTERM")
      await sleep(random() * stoppingMsMax)
      await server.kill()
      return false
    case "backup": {
      const backup = spawn(process.execPath, server.cliArgs("backup", backupDir, "--data-dir", server.dataDir), {
        stdio: "ignore"
      })
      const ended = once(backup, "exit")
      await sleep(random() * backupMsMax)
      const isRunning = server.isRunning
      await server.kill()
      backup.kill("SIGKILL")
      await ended
      return !isRunning
    }
  }
  const isRunning = server.isRunning
  await server.kill()
  return !isRunning
}
