import { LineProgram, patienceMs, type Command, type Words } from "../../support/LineProgram.ts"
import { waitUntil } from "../../support/waitUntil.ts"

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

const connectionOf = (connections: Map<string, Connection>, client: string): Connection => {
  const known = connections.get(client) ?? new Connection()
  connections.set(client, known)
  return known
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
  readonly #lines: LineProgram
  readonly #connections: Map<string, Connection>

  private constructor(lines: LineProgram, connections: Map<string, Connection>) {
    this.#lines = lines
    this.#connections = connections
  }

  static async start(command: Command): Promise<Program> {
    const connections = new Map<string, Connection>()
    const lines = await LineProgram.start(command, ["connected", "message"], (what, words) => {
      const connection = connectionOf(connections, words.get("client")!)
      if (what === "message") connection.messages.push(messageOf(words))
      else connection.connacks.push(words.has("session") ? words.get("session") === "1" : undefined)
    })
    return new Program(lines, connections)
  }

  /** `library=`, `release=`. */
  get about(): ReadonlyMap<string, string> {
    return this.#lines.about!
  }

  /** Resolves when it is done. Rejects with what the program says, or when it does not answer. */
  async ask(verb: string, words: Words): Promise<void> {
    await this.#lines.ask(verb, words)
  }

  messages(client: string): ReadonlyArray<Message> {
    return connectionOf(this.#connections, client).messages
  }

  connacks(client: string): ReadonlyArray<boolean | undefined> {
    return connectionOf(this.#connections, client).connacks
  }

  /** Resolves with all messages of the connection when there are so many, which may be more. */
  async received(client: string, count: number): Promise<ReadonlyArray<Message>> {
    const messages = this.messages(client)
    try {
      await waitUntil("deliveries", patienceMs, () => messages.length >= count)
    } catch {
      throw new Error(`${messages.length} of ${count} messages came to ${client}\n${this.#lines.errors}`)
    }
    return messages
  }

  /** Resolves when the connection has had so many CONNACKs. */
  async connected(client: string, count: number): Promise<void> {
    await waitUntil(`connection ${count} of ${client}`, patienceMs, () => this.connacks(client).length >= count)
  }

  /** As its machine's power cut: no DISCONNECT is sent. */
  kill(): Promise<void> {
    return this.#lines.kill()
  }
}
