import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { waitUntil } from "./waitUntil.ts"

/** So long a program may take for an answer. Far above what any needs on a slow machine. */
export const patienceMs = 30_000

/** What is said behind the verb: `name=value`, without spaces in either. */
export type Words = Readonly<Record<string, string | number | undefined>>

const wordsOf = (words: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(
    words.map((word) => {
      const equals = word.indexOf("=")
      return [word.slice(0, equals), word.slice(equals + 1)]
    })
  )

interface Asked {
  readonly resolve: (words: ReadonlyMap<string, string>) => void
  readonly reject: (cause: Error) => void
}

export interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/**
 * A program that drives one client library, line by line. Standard input has commands, `ID VERB name=value…`; standard output has answers,
 * `ID ok name=value…` or `ID failed TEXT`, in any order, `ready name=value…` at first, and what else happens, `WHAT name=value…`.
 */
export class LineProgram {
  readonly #child: ChildProcess
  readonly #asked = new Map<number, Asked>()
  /** What happens, with its words. */
  readonly #happened: (what: string, words: ReadonlyMap<string, string>) => void
  readonly #events: ReadonlySet<string>
  #lastId = 0
  #errors = ""
  /** What it said behind `ready`. */
  about: ReadonlyMap<string, string> | undefined

  private constructor(
    { command, args }: Command,
    events: ReadonlyArray<string>,
    happened: (what: string, words: ReadonlyMap<string, string>) => void
  ) {
    this.#events = new Set(events)
    this.#happened = happened
    // A group of its own: some programs run others, which end with it.
    this.#child = spawn(command, args, { stdio: "pipe", detached: true })
    this.#child.on("error", (cause) => this.#failAll(cause))
    this.#child.on("close", () => this.#failAll(new Error(`the program ended\n${this.#errors}`)))
    this.#child.stdin!.on("error", () => undefined)
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#errors += text))
    createInterface({ input: this.#child.stdout!, crlfDelay: Infinity }).on("line", (line) => this.#hear(line))
  }

  /** `events`: what may happen, which `happened` is told. */
  static async start(
    command: Command,
    events: ReadonlyArray<string> = [],
    happened: (what: string, words: ReadonlyMap<string, string>) => void = () => undefined
  ): Promise<LineProgram> {
    const program = new LineProgram(command, events, happened)
    try {
      await waitUntil("the program's first line", patienceMs, () => program.#isEnded || program.about !== undefined)
      if (program.about === undefined) throw new Error(`the program ended at its start\n${program.#errors}`)
      return program
    } catch (cause) {
      await program.kill()
      throw cause
    }
  }

  get #isEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined
  }

  /** What it said besides. */
  get errors(): string {
    return this.#errors
  }

  #failAll(cause: Error): void {
    for (const { reject } of this.#asked.values()) reject(cause)
    this.#asked.clear()
  }

  #hear(line: string): void {
    const [first, ...rest] = line.split(" ") as [string, ...Array<string>]
    if (first === "ready") this.about = wordsOf(rest)
    else if (this.#events.has(first)) this.#happened(first, wordsOf(rest))
    else if (/^\d+$/.test(first)) {
      const asked = this.#asked.get(Number(first))
      this.#asked.delete(Number(first))
      if (rest[0] === "ok") asked?.resolve(wordsOf(rest.slice(1)))
      else asked?.reject(new Error(rest.slice(1).join(" ")))
    } else this.#errors += `${line}\n`
  }

  /** Resolves with the words of its answer when it is done. Rejects with what the program says, or when it does not answer within the time. */
  async ask(verb: string, words: Words, withinMs = patienceMs): Promise<ReadonlyMap<string, string>> {
    if (this.#isEnded) throw new Error(`the program has ended\n${this.#errors}`)
    const id = ++this.#lastId
    const said = Object.entries(words).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
    const answer = new Promise<ReadonlyMap<string, string>>((resolve, reject) =>
      this.#asked.set(id, { resolve, reject })
    )
    this.#child.stdin!.write(`${[id, verb, ...said].join(" ")}\n`)
    const isLate = new AbortController()
    const late = sleep(withinMs, undefined, { signal: isLate.signal }).then(
      () => Promise.reject(new Error(`no answer to ${verb}\n${this.#errors}`)),
      () => new Map<string, string>()
    )
    try {
      return await Promise.race([answer, late])
    } catch (cause) {
      throw new Error(`${verb} ${JSON.stringify(words).slice(0, 300)}: ${(cause as Error).message}`, { cause })
    } finally {
      isLate.abort()
    }
  }

  /** As its machine's power cut. */
  async kill(): Promise<void> {
    if (this.#isEnded) return
    const exited = once(this.#child, "exit")
    process.kill(-this.#child.pid!, "SIGKILL")
    await exited
  }
}
