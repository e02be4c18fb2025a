import { suggest } from "../config/suggest.ts"
import { defectText } from "../defectText.ts"
import { plainText } from "../plainText.ts"
import { version } from "../version.ts"
import { CliError, exitCodes, usageError } from "./CliError.ts"
import { parseCommandLine, type Command } from "./commandLine.ts"
import { commands } from "./commands.ts"
import { plannedAs } from "./planned.ts"
import { printHelp, printOverview } from "./help.ts"
import { painted, processIo, warn, type Io } from "./Io.ts"
import { hearWarnings } from "./warnings.ts"

const groups = [...new Set(commands.flatMap(({ name }) => (name.includes(" ") ? [name.split(" ")[0]!] : [])))]

/** The command that the words begin with. Throws `CliError` "E_USAGE". */
const find = (words: ReadonlyArray<string>): Command => {
  const [first = "", second = ""] = words
  const found = commands.find(({ name }) => name === first || name === `${first} ${second}`)
  if (found !== undefined) return found
  const planned = plannedAs(words)
  if (planned !== undefined) throw planned
  const named = groups.includes(first) ? `${first} ${second}`.trim() : first
  const names = commands.map(({ name }) => name)
  const meant = suggest(`${first} ${second}`.trim(), names) ?? suggest(named, [...names, ...groups])
  throw usageError(`there is no command "${named}"`, meant ? `did you mean logbrook ${meant}?` : "logbrook --help")
}

const run = async (given: ReadonlyArray<string>, io: Io): Promise<number> => {
  // `help streams create` is `streams create --help`.
  const words = given[0] === "help" ? [...given.slice(1), "--help"] : given
  const isHelp = words.includes("--help") || words.includes("-h")
  const plain = words.filter((word) => !word.startsWith("-"))
  if (words[0] === "--version" || words[0] === "-v") {
    io.out(version)
    return exitCodes.ok
  }
  if (plain.length === 0) {
    if (words.length > 0 && !isHelp) throw usageError(`${words[0]} is no option`, "logbrook --help")
    printOverview(io, undefined)
    return exitCodes.ok
  }
  if (plain.length === 1 && groups.includes(plain[0]!)) {
    printOverview(isHelp ? io : { ...io, out: io.err, isTty: io.isErrTty }, plain[0])
    return isHelp ? exitCodes.ok : exitCodes.usage
  }
  const command = find(isHelp ? plain : words)
  if (isHelp) {
    printHelp(io, command)
    return exitCodes.ok
  }
  const args = parseCommandLine(command, words.slice(command.name.split(" ").length))
  // Effect is loaded for a command only: the version, the help and what is mistyped are told at once.
  const [{ runCommand }, body] = await Promise.all([import("./runCommand.ts"), command.load()])
  return runCommand(body, args, io)
}

/** The exit code; everything that is wrong has been said on stderr. */
export const runCli = async (words: ReadonlyArray<string>, io: Io): Promise<number> => {
  hearWarnings((text) => warn(io, [text]))
  try {
    const exitCode = await run(words, io)
    // Whatever a command did, somebody was to read it.
    await io.flushed()
    return exitCode
  } catch (error) {
    const onErr = { ...io, isTty: io.isErrTty }
    if (error instanceof CliError) {
      io.err(`${painted(onErr, "red", `error[${plainText(error.code)}]`)}: ${plainText(error.message)}`)
      for (const line of error.details) io.err(`  ${plainText(line)}`)
      if (error.hint !== undefined) io.err(`${painted(onErr, "dim", "hint")}: ${plainText(error.hint)}`)
      return error.exitCode
    }
    const stack = defectText(error)
    io.err(`${painted(onErr, "red", "error[E_DEFECT]")}: ${stack.split("\n").map(plainText).join("\n")}`)
    return exitCodes.failure
  }
}

/**
 * Runs the command line of this process. A reader that has gone, such as `head`, ends it quietly, and every other failure of
 * stdout fails it. The server goes on without what it says there.
 */
export const runMain = async (): Promise<void> => {
  const isServer = process.argv[2] === "serve"
  process.stderr.on("error", () => undefined)
  const io = processIo(() => {
    if (!isServer) process.exit(exitCodes.ok)
  })
  process.exitCode = await runCli(process.argv.slice(2), isServer ? { ...io, flushed: () => undefined } : io)
}
