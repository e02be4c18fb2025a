/** What the programs of Node.js share: commands are read, answers and events written, as ../Program.ts has them. */
import { createInterface } from "node:readline"

/** What a command says behind its verb, by name. */
export type Words = ReadonlyMap<string, string>

/** Writes one line: what is told, and `name=value` for each value that is not undefined. */
export const say = (told: string, named: Readonly<Record<string, string | number | undefined>> = {}): void => {
  const words = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
  process.stdout.write(`${[told, ...words].join(" ")}\n`)
}

/** How a library carries the commands out. A command is done when its promise resolves, and has failed when it rejects. */
export interface Verbs<Connection> {
  readonly connect: (words: Words) => Promise<Connection>
  readonly subscribe: (connection: Connection, words: Words) => Promise<void>
  readonly publish: (connection: Connection, words: Words) => Promise<void>
  readonly disconnect: (connection: Connection) => Promise<void>
}

interface Command {
  readonly id: string
  readonly verb: keyof Verbs<unknown>
  readonly words: Words
}

const commandOf = (line: string): Command => {
  const [id, verb, ...said] = line.split(" ") as [string, Command["verb"], ...Array<string>]
  const words = new Map(said.map((word) => [word.split("=", 1)[0]!, word.slice(word.indexOf("=") + 1)]))
  return { id, verb, words }
}

/** Tells that the program is ready, and carries out the commands on standard input, none of which waits for the one before it. */
export const serve = <Connection>(library: string, release: string, verbs: Verbs<Connection>): void => {
  const connections = new Map<string, Connection>()
  const carryOut = async ({ verb, words }: Command): Promise<void> => {
    const client = words.get("client")!
    if (verb === "connect") connections.set(client, await verbs.connect(words))
    else await verbs[verb](connections.get(client)!, words)
  }
  say("ready", { library, release })
  createInterface({ input: process.stdin }).on("line", (line) => {
    const command = commandOf(line)
    carryOut(command).then(
      () => say(`${command.id} ok`),
      (cause: unknown) => say(`${command.id} failed ${String(cause)}`)
    )
  })
}
