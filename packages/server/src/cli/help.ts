import { commands } from "./commands.ts"
import type { Command, Option } from "./commandLine.ts"
import { painted, type Io } from "./Io.ts"

const synopsis = ({ name, positionals }: Command): string => [name, ...positionals].join(" ")

const printCommands = (io: Io, shown: ReadonlyArray<Command>): void => {
  const width = Math.max(...shown.map((command) => synopsis(command).length))
  for (const command of shown) {
    io.out(`  ${painted(io, "cyan", synopsis(command).padEnd(width))}  ${command.summary}`)
  }
}

/** All commands, or those of a group such as `streams`. */
export const printOverview = (io: Io, group: string | undefined): void => {
  io.out("logbrook: an MQTT broker and a Kafka server over the same streams")
  io.out("")
  printCommands(io, group === undefined ? commands : commands.filter(({ name }) => name.startsWith(`${group} `)))
  io.out("")
  io.out("logbrook COMMAND --help tells its options. logbrook --version tells the version.")
}

/** `-f, --format FORMAT`, `--filter FILTER …` */
export const optionText = ({ name, value, isMultiple, short }: Option): string => {
  const names = short === undefined ? `--${name}` : `-${short}, --${name}`
  return `${names}${value === undefined ? "" : ` ${value}`}${isMultiple === true ? " …" : ""}`
}

export const printHelp = (io: Io, command: Command): void => {
  io.out(`logbrook ${synopsis(command)}${command.options.length > 0 ? " [options]" : ""}`)
  io.out(`  ${command.summary}${command.description === undefined ? "" : `. ${command.description}`}`)
  io.out("")
  const names = command.options.map(optionText)
  const width = Math.max(...names.map((name) => name.length))
  command.options.forEach(({ help }, i) => io.out(`  ${painted(io, "cyan", names[i]!.padEnd(width))}  ${help}`))
  if (command.examples === undefined) return
  io.out("")
  for (const example of command.examples) io.out(`  ${painted(io, "dim", "$")} ${example}`)
}
