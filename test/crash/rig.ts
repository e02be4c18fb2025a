/**
 * Kills the server again and again under load, at any time and while it does what takes its time: rolls, settles, rewrites,
 * merges, compacts, drops segments, stops, or is backed up; and compares what it has with what it acknowledged.
 * `--kills N` (10), `--seed N`, `--lose qos1|qos2|produce|commit|sample|state` to see the checks fail. Exits with 0 only if all holds
 * and, from 50 kills on, everything that was aimed at was hit.
 */
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { tolerateLostConnections } from "../support/overRestarts.ts"
import { runCommand, type Finished } from "../support/runCommand.ts"
import { randomOf } from "../support/random.ts"
import type { Loss } from "./Audit.ts"
import type { ChurnLoss } from "./churn.ts"
import { hitsOf, killAt, type Aim, type Target } from "./kills.ts"
import { expiringSite, keepingSite, type Site } from "./sites.ts"

const startKillShare = 0.1
/** Of the kills, those on a server where everything expires. */
const expiringShare = 0.3
/** Members that a kill made kafkajs replace expire only in a server that lives longer than their sessions. */
const regroupEvery = 10
/** From so many kills on, each aim must have been hit. */
const certainKills = 50
const faultsShown = 20

/** What all kills have aimed at and hit. */
class Counts {
  readonly aimed = new Map<Aim, number>()
  readonly hit = new Map<Aim, number>()
  readonly closer = new Map<string, number>()
  readonly readyMs: Array<number> = []
  /** Of states, compared by `journal verify`. */
  hashes = 0

  text(): string {
    const each = [...this.aimed].map(([aim, times]) => `${aim} ${times}`)
    const hit = [...this.hit].map(([aim, times]) => `${aim} ${times}`)
    const closer = [...this.closer].map(([how, times]) => `${how} ${times}`)
    return [
      `aimed at: ${each.join(", ")}`,
      `hit: ${hit.join(", ")}`,
      `found: ${closer.sort().join(", ")}`,
      `${this.hashes} state hashes compared`
    ].join("\n")
  }

  get missed(): ReadonlyArray<Aim> {
    return [...this.aimed.keys()].filter((aim) => aim !== "any time" && !this.hit.has(aim))
  }
}

const add = <Key>(counts: Map<Key, number>, key: Key): void => void counts.set(key, (counts.get(key) ?? 0) + 1)

/** Every other time what was hit least; of equals, and else, any. */
const nextAim = (aims: ReadonlyArray<Aim>, { hit, aimed }: Counts, random: () => number): Aim => {
  const some = aims[Math.floor(random() * aims.length)]!
  if (random() < 0.5) return some
  const times = (aim: Aim): number => (aim === "any time" ? aimed : hit).get(aim) ?? 0
  return aims.reduce((least, aim) => (times(aim) < times(least) ? aim : least), some)
}

const told = (what: string, { code, stdout, stderr }: Finished): string =>
  `${what} exited with ${code}: ${stdout.toString("utf8")}${stderr}`

/** What is left is whole, before any start has mended it. Behind a kill there need not be a state hash yet to compare. */
const checkFiles = async ({ server, faults }: Site, counts: Counts, isStopped: boolean): Promise<void> => {
  const look = async (...args: ReadonlyArray<string>): Promise<Finished> =>
    runCommand(process.execPath, server.cliArgs(...args, "--data-dir", server.dataDir))
  const [doctor, verify] = await Promise.all([look("doctor"), look("journal", "verify", "--json")])
  if (doctor.code !== 0) faults.push(told("doctor", doctor))
  const { failure, hashes = 0 } = verifiedOf(verify)
  counts.hashes += hashes
  if (failure !== null || (isStopped && verify.code !== 0)) faults.push(told("journal verify", verify))
}

/** Without `failure` where it says nothing. */
const verifiedOf = ({ stdout }: Finished): { readonly failure?: object | null; readonly hashes?: number } => {
  const text = stdout.toString("utf8")
  return text === "" ? {} : (JSON.parse(text) as { readonly failure: object | null; readonly hashes: number })
}

/** Some kills come while the server is still starting. */
const restart = async ({ server }: Site, random: () => number): Promise<number> => {
  if (random() < startKillShare) {
    const starting = server.start().catch(() => undefined)
    await sleep(50 + random() * 250)
    await server.kill()
    await starting
  }
  return server.start()
}

const killAll = async (site: Site, kills: number, counts: Counts, target: Target): Promise<void> => {
  const { server, faults, slow } = site
  for (let kill = 1; kill <= kills && faults.length === 0; kill++) {
    const aim = nextAim(site.aims, counts, target.random)
    const isOwnEnd = await killAt(aim, target)
    if (isOwnEnd) faults.push(`the server ended by itself: ${server.logTail()}`)
    add(counts.aimed, aim)
    const found = hitsOf(aim, target)
    for (const hit of new Set(found.map(({ aim }) => aim))) add(counts.hit, hit)
    for (const { aim, how } of found) add(counts.closer, `${aim} (${how})`)
    slow(false)
    await checkFiles(site, counts, false)
    counts.readyMs.push(await restart(site, target.random))
    await site.audit()
    if (kill % regroupEvery === 0) await site.regrouped()
    if (kill % 10 === 0 || kill === kills) console.log(`${site.name}, kill ${kill}: ${site.text()}`)
  }
}

/** Resolves with the faults. The data directory stays where there are any, unless they were asked for. */
const run = async (site: Site, kills: number, counts: Counts, random: () => number): Promise<ReadonlyArray<string>> => {
  const { server, faults, churn } = site
  const backupDir = `${server.dataDir}-backup`
  try {
    await killAll(site, kills, counts, { server, backupDir, random, slow: site.slow })
    if (faults.length === 0) {
      await site.finish()
      await checkFiles(site, counts, true)
      // Whatever the kills left of the backups before, this one is read again as a whole.
      await server.cli("backup", backupDir, "--data-dir", server.dataDir)
    }
    const isVain = kills >= certainKills * expiringShare && (churn.expired === 0 || churn.compacted === 0)
    if (isVain) faults.push(`nothing was removed: ${churn.text()}`)
  } catch (error) {
    faults.push(`the rig could not go on: ${(error as Error).stack}`, server.logTail())
  }
  fs.rmSync(backupDir, { recursive: true, force: true })
  const isKept = faults.length > 0 && values.lose === undefined
  if (isKept) {
    await server.kill()
    console.log(`the journal is left in ${server.dataDir}`)
  } else await server.dispose()
  return faults
}

const options = { kills: { type: "string" }, seed: { type: "string" }, lose: { type: "string" } } as const
const { values } = parseArgs({ options })
const kills = Number(values.kills ?? 10)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const lose = values.lose as Loss | ChurnLoss | undefined
tolerateLostConnections()
console.log(`${kills} kills, seed ${seed}`)

const random = randomOf(seed)
const counts = new Counts()
const expiringKills = Math.floor(kills * expiringShare)
const faults: Array<string> = []
const texts: Array<string> = []
for (const [make, share] of [
  [keepingSite, kills - expiringKills],
  [expiringSite, expiringKills]
] as const) {
  if (share === 0 || faults.length > 0) continue
  const site = await make(lose)
  faults.push(...(await run(site, share, counts, random)))
  texts.push(`${site.name}: ${site.text()}`)
}
if (kills >= certainKills && faults.length === 0) {
  faults.push(...counts.missed.map((aim) => `no kill has hit what was aimed at: ${aim}`))
}
for (const fault of faults.slice(0, faultsShown)) console.log(fault)
for (const text of texts) console.log(text)
console.log(counts.text())
const sorted = counts.readyMs.toSorted((a, b) => a - b)
const ready = `ready in ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms (median), ${sorted.at(-1)?.toFixed(0)} ms (worst)`
console.log(`${faults.length === 0 ? "held" : "FAILED"}: ${counts.readyMs.length} kills, ${ready}`)
process.exit(faults.length === 0 ? 0 : 1)
