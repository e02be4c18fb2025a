import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { waitUntil } from "../../support/waitUntil.ts"

/** So long a program may take for an answer or a delivery. Far above what any needs on a slow machine. */
export const patienceMs = 30_000

/** What is said behind the verb: `name=value`, without spaces in either. */
export type Words = Readonly<Record<string, string | number | undefined>>

export interface Message {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payload: string
  /** Subscription identifiers. */
  readonly ids: ReadonlyArray<number>
  readonly response: string | undefined
  readonly correlation: string | undefined
}

const wordsOf = (words: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(
    words.map((word) => {
      const equals = word.indexOf("=")
      return [word.slice(0, equals), word.slice(equals + 1)]
    })
  )

const messageOf = (words: ReadonlyMap<string, string>): Message => ({
  topic: words.get("topic")!,
  qos: Number(words.get("qos")),
  retain: words.get("retain") === "1",
  payload: words.get("payload")!,
  ids: words.has("ids") ? words.get("ids")!.split(",").map(Number) : [],
  response: words.get("response"),
  correlation: words.get("correlation")
})

/** What a program has told of one of its connections. */
class Connection {
  readonly messages: Array<Message> = []
  /** One for each CONNACK: whether it told of a session; undefined where the library does not show it. */
  readonly connacks: Array<boolean | undefined> = []
}

interface Asked {
  readonly resolve: (words: ReadonlyMap<string, string>) => void
  readonly reject: (cause: Error) => void
}

/**
 * A program under `programs` that drives one MQTT library. Standard input has commands, a line each, `ID VERB name=value…`, and none
 * waits for the one before it:
 *
 * - `connect client=NAME id=CLIENTID version=4|5 port=PORT clean=0|1`, and where asked for `expiry=S` (a session that outlives the
 *   connection), `websocket=1`, `aliases=N` (Topic Alias Maximum), `byAlias=1` (topics of what is published go by alias), `willTopic=
 *   willPayload= willQos= willDelay=S`. Done at CONNACK; the connection is made again when it breaks, as the library does it.
 * - `subscribe client= filter= qos=`, `identifier=N`. Done at SUBACK.
 * - `publish client= topic= payload= qos= retain=0|1`, `response=TOPIC correlation=TEXT`. Done when it is acknowledged, also by a
 *   later connection.
 * - `disconnect client=`.
 *
 * Standard output has answers, `ID ok` or `ID failed TEXT`, and what happens: `ready library=NAME release=VERSION` at first, `connected
 * client= session=0|1` for every CONNACK, `message client= topic= qos= retain= payload=`, `ids=N,… response= correlation=`.
 */
export class Program {
  readonly #child: ChildProcess
  readonly #asked = new Map<number, Asked>()
  readonly #connections = new Map<string, Connection>()
  #lastId = 0
  #errors = ""
  /** `library=`, `release=`. */
  about: ReadonlyMap<string, string> | undefined

  private constructor(command: string, args: ReadonlyArray<string>) {
    // A group of its own: some programs run others, which end with it.
    this.#child = spawn(command, args, { stdio: "pipe", detached: true })
    this.#child.on("error", (cause) => this.#failAll(cause))
    this.#child.on("close", () => this.#failAll(new Error(`the program ended\n${this.#errors}`)))
    this.#child.stdin!.on("error", () => undefined)
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#errors += text))
    createInterface({ input: this.#child.stdout!, crlfDelay: Infinity }).on("line", (line) => this.#hear(line))
  }

  static async start({ command, args }: { command: string; args: ReadonlyArray<string> }): Promise<Program> {
    const program = new Program(command, args)
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

  #failAll(cause: Error): void {
    for (const { reject } of this.#asked.values()) reject(cause)
    this.#asked.clear()
  }

  #hear(line: string): void {
    const [first, ...rest] = line.split(" ") as [string, ...Array<string>]
    if (first === "ready") this.about = wordsOf(rest)
    else if (first === "connected" || first === "message") this.#happened(first, wordsOf(rest))
    else if (/^\d+$/.test(first)) {
      const asked = this.#asked.get(Number(first))
      this.#asked.delete(Number(first))
      if (rest[0] === "ok") asked?.resolve(wordsOf(rest.slice(1)))
      else asked?.reject(new Error(rest.slice(1).join(" ")))
    } else this.#errors += `${line}\n`
  }

  #happened(what: "connected" | "message", words: ReadonlyMap<string, string>): void {
    const connection = this.#of(words.get("client")!)
    if (what === "message") connection.messages.push(messageOf(words))
    else connection.connacks.push(words.has("session") ? words.get("session") === "1" : undefined)
  }

  #of(client: string): Connection {
    const known = this.#connections.get(client) ?? new Connection()
    this.#connections.set(client, known)
    return known
  }

  /** Resolves when it is done. Rejects with what the program says, or when it does not answer. */
  async ask(verb: string, words: Words): Promise<void> {
    if (this.#isEnded) throw new Error(`the program has ended\n${this.#errors}`)
    const id = ++this.#lastId
    const said = Object.entries(words).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
    const answer = new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }))
    this.#child.stdin!.write(`${[id, verb, ...said].join(" ")}\n`)
    const isLate = new AbortController()
    const late = sleep(patienceMs, undefined, { signal: isLate.signal }).then(
      () => Promise.reject(new Error(`no answer to ${verb}\n${this.#errors}`)),
      () => undefined
    )
    try {
      await Promise.race([answer, late])
    } catch (cause) {
      throw new Error(`${verb} ${JSON.stringify(words).slice(0, 300)}: ${(cause as Error).message}`, { cause })
    } finally {
      isLate.abort()
    }
  }

  messages(client: string): ReadonlyArray<Message> {
    return this.#of(client).messages
  }

  connacks(client: string): ReadonlyArray<boolean | undefined> {
    return this.#of(client).connacks
  }

  /** Resolves with all messages of the connection when there are so many, which may be more. */
  async received(client: string, count: number): Promise<ReadonlyArray<Message>> {
    const messages = this.messages(client)
    try {
      await waitUntil("deliveries", patienceMs, () => messages.length >= count)
    } catch {
      throw new Error(`${messages.length} of ${count} messages came to ${client}\n${this.#errors}`)
    }
    return messages
  }

  /** Resolves when the connection has had so many CONNACKs. */
  async connected(client: string, count: number): Promise<void> {
    await waitUntil(`connection ${count} of ${client}`, patienceMs, () => this.connacks(client).length >= count)
  }

  /** As its machine's power cut: no DISCONNECT is sent. */
  async kill(): Promise<void> {
    if (this.#isEnded) return
    const exited = once(this.#child, "exit")
    process.kill(-this.#child.pid!, "SIGKILL")
    await exited
  }
}
