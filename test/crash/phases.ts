import * as fs from "node:fs"

export type Phase = "roll" | "settling" | "taken over"

const numbered = /^seg-(\d+)/

const namesIn = (directory: string): ReadonlyArray<string> =>
  fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => !name.endsWith("-lock")) : []

/** Written by a worker: a settling, rewriting, merging or compaction. */
export const isSettling = (directory: string): boolean => namesIn(directory).some((name) => /\.runs.*\.tmp$/.test(name))

/** What was under way in a data directory, by what a start finds there. */
export const phasesOf = (directory: string): ReadonlyArray<Phase> => {
  const names = namesIn(directory)
  const settled = names.filter((name) => /\.runs.*\.mdb$/.test(name)).map((name) => numbered.exec(name)![1])
  const phases: Array<Phase> = []
  if (names.some((name) => name.endsWith(".mdb.tmp"))) phases.push("roll")
  if (isSettling(directory)) phases.push("settling")
  if (settled.some((index) => names.includes(`seg-${index}.mdb`))) phases.push("taken over")
  return phases
}
