import { CliError, exitCodes } from "./CliError.ts"

/** Commands that will be there, and what does the same until then. */
const planned: ReadonlyMap<string, string> = new Map([
  ["groups why", "logbrook journal tail --actor group/GROUP, and logbrook journal show SEQ for the causes"],
  ["journal export", "logbrook journal tail --from 1 --lines 1000 --json"],
  ["completions", "logbrook --help lists the commands"]
])

/** Undefined for words that are no planned command. */
export const plannedAs = (words: ReadonlyArray<string>): CliError | undefined => {
  const [first = "", second = ""] = words
  const name = [first, `${first} ${second}`].find((each) => planned.has(each))
  if (name === undefined) return undefined
  return new CliError(exitCodes.usage, "E_NOT_YET", `logbrook ${name} is not there yet`, planned.get(name))
}
