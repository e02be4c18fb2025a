import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { ServerProcess } from "../support/server.ts"
import { dropLeftovers, isBackupCut, isDropped, isLocked, isSettling, lacksSnapshot, phasesOf } from "./phases.ts"

/** What a worker of the server does, as its log names it. */
const works = ["settle", "rewrite", "merge", "compact"] as const
type Work = (typeof works)[number]

/** When a kill is to come. What was really under way is told by the files that are left. */
export type Aim = "any time" | "roll" | Work | "drop" | "backup" | "stop"

const loadMsMin = 150
const loadMsMax = 900
const momentWithinMs = 3500
/** The snapshot that a roll begins takes a few turns. */
const afterRollMsMax = 25
const writingMsMax = 60
/** Between the new name and the end of what it replaces, and for a segment that is dropped. */
const removingMsMax = 12
const stoppingMsMax = 120
const backupMsMax = 250

const isWork = (aim: Aim): aim is Work => (works as ReadonlyArray<string>).includes(aim)

/** Where and how kills are aimed. */
export interface Target {
  readonly server: ServerProcess
  /** Gets a backup, or what is there of it at the kill. */
  readonly backupDir: string
  readonly random: () => number
  /** Little load, so that the server gets to what waits while there is much. */
  readonly slow: (isSlow: boolean) => void
}

/** Resolves with the first change of a file whose name fits, or after a while. */
const changed = async (directory: string, fits: (name: string) => boolean): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const watcher = fs.watch(directory, (event, name) => {
    if (event === "rename" && name !== null && fits(name)) resolve()
  })
  await Promise.race([promise, sleep(momentWithinMs, undefined, { ref: false })])
  watcher.close()
}

/** What the worker does that was started last. */
const lastWork = (server: ServerProcess): Work | undefined => {
  const line = server
    .logTail()
    .split("\n")
    .findLast((each) => each.includes('"settling worker begins"') && each.endsWith("}"))
  return line === undefined ? undefined : (JSON.parse(line) as { readonly kind: Work }).kind
}

/** While the worker's file grows, or once it has its name and its sources are to go. */
const whileWorking = async (work: Work, { server, random }: Target): Promise<void> => {
  const { dataDir } = server
  const isUnderWay = (): boolean => isSettling(dataDir) && lastWork(server) === work
  if (!isUnderWay()) await changed(dataDir, (name) => name.endsWith(".runs.tmp") && isUnderWay())
  if (random() < 0.5) {
    // Mostly early: the file of a small segment is soon complete.
    await sleep(random() ** 2 * writingMsMax)
    return
  }
  await changed(dataDir, (name) => /\.runs(-\d+)?\.mdb$/.test(name))
  await sleep(random() ** 2 * removingMsMax)
}

const killServer = async (server: ServerProcess): Promise<boolean> => {
  const { isRunning } = server
  await server.kill()
  return !isRunning
}

const duringBackup = async ({ server, backupDir, random }: Target): Promise<boolean> => {
  const args = server.cliArgs("backup", backupDir, "--data-dir", server.dataDir)
  fs.mkdirSync(backupDir, { recursive: true })
  const begun = changed(backupDir, (name) => name !== "lock")
  const backup = spawn(process.execPath, args, { stdio: "ignore" })
  const ended = once(backup, "exit")
  await begun
  await sleep(random() * backupMsMax)
  const isOwnEnd = await killServer(server)
  backup.kill("SIGKILL")
  await ended
  return isOwnEnd
}

/** Kills the server at such a moment; true if it had ended before. */
export const killAt = async (aim: Aim, target: Target): Promise<boolean> => {
  const { server, random, slow } = target
  const { dataDir } = server
  await sleep(loadMsMin + random() * (loadMsMax - loadMsMin))
  if (aim === "roll") {
    await changed(dataDir, (name) => /^seg-\d+\.mdb(\.tmp)?$/.test(name))
    await sleep(random() ** 2 * afterRollMsMax)
  } else if (isWork(aim)) {
    slow(aim !== "settle")
    await whileWorking(aim, target)
  } else if (aim === "drop") {
    slow(true)
    await changed(dataDir, (name) => isDropped(dataDir, name))
    await sleep(random() ** 2 * removingMsMax)
  } else if (aim === "stop") {
    process.kill(server.pid, "SIGTERM")
    await sleep(random() * stoppingMsMax)
    await server.kill()
    return false
  } else if (aim === "backup") return duringBackup(target)
  return killServer(server)
}

/** What a kill has hit: the aims, and more closely. */
export interface Hit {
  readonly aim: Aim
  readonly how: string
}

/** What a kill has hit, by what is on the disk before the next start. A backup's leftovers stay: they count where it was aimed at. */
export const hitsOf = (aim: Aim, { server, backupDir }: Target): ReadonlyArray<Hit> => {
  const { dataDir } = server
  const hits: Array<Hit> = []
  const phases = phasesOf(dataDir)
  const work = lastWork(server)
  if (work !== undefined && phases.includes("settling")) hits.push({ aim: work, how: "its file begun" })
  if (work !== undefined && phases.includes("taken over")) hits.push({ aim: work, how: "sources beside it" })
  if (phases.includes("roll")) hits.push({ aim: "roll", how: "segment begun" })
  else if (lacksSnapshot(dataDir)) hits.push({ aim: "roll", how: "snapshot incomplete" })
  if (dropLeftovers(dataDir).length > 0) hits.push({ aim: "drop", how: "its lock left" })
  if (aim === "backup" && isBackupCut(backupDir)) hits.push({ aim, how: "copies begun" })
  if (aim === "stop" && isStopCut(server)) hits.push({ aim, how: "begun, not let go" })
  return hits
}

/** Whether the server has said that it stops, and still has its data directory. */
const isStopCut = (server: ServerProcess): boolean => {
  const last = server.logTail().trimEnd().split("\n").slice(-stopLinesMax)
  return last.some((line) => line.includes('"message":"stopping"')) && isLocked(server.dataDir)
}

/** What a server may say while it stops. */
const stopLinesMax = 10
