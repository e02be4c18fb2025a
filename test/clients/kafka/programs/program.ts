/** What the programs of Node.js share: commands are read and answered, as ../scenarios.ts has them. */
import { createInterface } from "node:readline"
import { inspect } from "node:util"

/** What a command says behind its verb, by name. */
export type Words = Readonly<Record<string, string>>

/** The first argument: the server's address. */
export const brokers = process.argv[2]!

/** How a library carries out each verb; what it resolves with is answered. */
export type Verbs = Readonly<
  Record<string, (words: Words) => Promise<Readonly<Record<string, string | number>> | void>>
>

/** The records that a command asks for. */
export const recordsOf = ({ prefix, count }: Words) =>
  Array.from({ length: Number(count) }, (_, i) => ({
    key: `k${i}`,
    value: `${prefix}${i}`,
    headers: { source: "matrix" }
  }))

const carryOut = async (line: string, verbs: Verbs): Promise<string> => {
  const [id, verb, ...said] = line.split(" ") as [string, string, ...Array<string>]
  const words = Object.fromEntries(
    said.map((word) => [word.split("=", 1)[0]!, word.slice(word.indexOf("=") + 1)] as const)
  )
  try {
    const answer = Object.entries((await verbs[verb]!(words)) ?? {})
    return [id, "ok", ...answer.map(([name, value]) => `${name}=${value}`)].join(" ")
  } catch (error) {
    return `${id} failed ${inspect(error).replaceAll("\n", " ")}`
  }
}

/** Tells that the program is ready, and carries out the commands on standard input, one after another. */
export const serve = async (release: string, verbs: Verbs): Promise<void> => {
  process.stdout.write(`ready release=${release}\n`)
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${await carryOut(line, verbs)}\n`)
  }
}
