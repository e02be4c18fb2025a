import { parseArgs } from "node:util"
import type * as Effect from "effect/Effect"
import { suggest } from "../config/suggest.ts"
import { type ExitCode, usageError } from "./CliError.ts"
import type { CommandFailure } from "./failures.ts"
import type { Io } from "./Io.ts"

export interface Option {
  /** Without its dashes. */
  readonly name: string
  /** The name of its value in the help; undefined for a switch. */
  readonly value: string | undefined
  readonly isMultiple?: boolean
  /** A letter, for `-f`. */
  readonly short?: string
  readonly help: string
}

/** The arguments that were written on the command line. */
export interface Arguments {
  readonly positionals: ReadonlyArray<string>
  readonly flag: (name: string) => boolean
  readonly text: (name: string) => string | undefined
  readonly texts: (name: string) => ReadonlyArray<string>
  /** The values of the given options, for the configuration. */
  readonly values: ReadonlyMap<string, unknown>
}

/** A command: its exit code, or why it ended. */
export type Run = (args: Arguments, io: Io) => Effect.Effect<ExitCode, CommandFailure>

export interface Command {
  /** `streams create` */
  readonly name: string
  /** `NAME`, `SEQ|TIME`; one that ends in `?` may be left out, one that ends in `...` comes once or more often. */
  readonly positionals: ReadonlyArray<string>
  readonly summary: string
  /** More than a line, for its own help. */
  readonly description?: string
  readonly options: ReadonlyArray<Option>
  /** Whole command lines for its help. */
  readonly examples?: ReadonlyArray<string>
  /** Imported when it runs: start-up stays short. */
  readonly load: () => Promise<Run>
}

const looksLikeOption = (text: string): boolean => /^-(?!\d)/.test(text)

/** Throws `CliError` "E_USAGE" for options and positionals that the command does not have. */
export const parseCommandLine = (command: Command, words: ReadonlyArray<string>): Arguments => {
  const known = new Map(command.options.map((option) => [option.name, option]))
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      command.options.map(({ name, value, short }) => [
        name,
        { type: value === undefined ? "boolean" : "string", ...(short === undefined ? {} : { short }) } as const
      ])
    ),
    strict: false,
    allowPositionals: true,
    tokens: true
  })
  const help = `logbrook ${command.name} --help`
  const positionals: Array<string> = []
  const values = new Map<string, string | boolean | Array<string>>()
  let lastTime = -1
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value)
    if (token.kind !== "option") continue
    // `-5m` is a time, which parseArgs takes for the options -5 and -m.
    if (/^-\d/.test(words[token.index]!)) {
      if (token.index > lastTime) positionals.push(words[token.index]!)
      lastTime = token.index
      continue
    }
    const option = known.get(token.name)
    if (option === undefined) {
      const meant = suggest(token.name, known.keys())
      throw usageError(
        `${token.rawName} is no option of ${command.name}`,
        meant ? `did you mean --${meant}?` : dashHint(token.rawName, help)
      )
    }
    if (option.value === undefined) {
      if (token.value !== undefined) throw usageError(`--${option.name} takes no value`, help)
      values.set(option.name, true)
      continue
    }
    if (token.value === undefined || (!token.inlineValue && looksLikeOption(token.value))) {
      throw usageError(`--${option.name} needs a value`, valueHint(option, token.value))
    }
    if (option.isMultiple === true) {
      const list = values.get(option.name)
      values.set(option.name, Array.isArray(list) ? [...list, token.value] : [token.value])
    } else if (values.has(option.name)) throw usageError(`--${option.name} is given twice`, help)
    else values.set(option.name, token.value)
  }
  throwIfPositionalsWrong(command, positionals)
  return argumentsOf(positionals, values)
}

/** Behind `--` a word that begins with a dash is none of the options. */
const dashHint = (rawName: string, help: string): string =>
  rawName.startsWith("--") ? help : `a name that begins with a dash goes behind --, all options before it; ${help}`

/** A value that begins with a dash would hide an option whose value was forgotten. */
const valueHint = ({ name, value }: Option, given: string | undefined): string =>
  given === undefined ? `--${name} ${value}` : `if "${given}" is the value: --${name}=${given}`

const throwIfPositionalsWrong = ({ name, positionals }: Command, given: ReadonlyArray<string>): void => {
  const required = positionals.filter((each) => !each.endsWith("?"))
  const usage = `logbrook ${name} ${positionals.join(" ")}`.trimEnd()
  if (given.length < required.length) throw usageError(`${required[given.length]} is missing`, usage)
  const isOpen = positionals.at(-1)?.endsWith("...") === true
  if (given.length > positionals.length && !isOpen)
    throw usageError(`"${given[positionals.length]}" is one too many`, usage)
}

const argumentsOf = (
  positionals: ReadonlyArray<string>,
  values: ReadonlyMap<string, string | boolean | Array<string>>
): Arguments => ({
  positionals,
  values,
  flag: (name) => values.get(name) === true,
  text: (name) => {
    const value = values.get(name)
    return typeof value === "string" ? value : undefined
  },
  texts: (name) => {
    const value = values.get(name)
    return Array.isArray(value) ? value : []
  }
})
