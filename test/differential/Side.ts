import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { KafkaClient } from "../../bench/load/KafkaClient.ts"

/** More than either of them waits for anything that is asked here. */
const answerMsMax = 10_000

/** Rejects as a connection does that is closed. */
const inTime = async <A>(answer: Promise<A>): Promise<A> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error("no answer")), answerMsMax)
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
  }
}

/** One of the two servers, and what is known of it only. */
export class Side {
  readonly name: "kafka" | "logbrook"
  readonly port: number
  /** By topic: ids are made by chance. */
  readonly topicIds = new Map<string, string>()
  /** The leader epoch of every partition. */
  leaderEpoch = -1
  /** Of the conversation under way, such as a fetch session's id or a producer's epoch. */
  readonly numbers = new Map<string, number>()
  /** As `numbers`, such as a member's id. */
  readonly texts = new Map<string, string>()
  /** What each side has given a name of its own, by that: a producer id, a member id. */
  readonly given = new Map<number | string, string>()
  readonly #clients = new Map<string, KafkaClient>()

  constructor(name: Side["name"], port: number) {
    this.name = name
    this.port = port
  }

  /** Undefined: the server has closed the connection, or does not answer. */
  async ask<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    connection = ""
  ): Promise<ResponseOf<A> | undefined> {
    const client = this.#clients.get(connection) ?? (await KafkaClient.connect(this.port))
    this.#clients.set(connection, client)
    try {
      return await inTime(client.request(api, version, request))
    } catch (error) {
      if (!/closed by the server|ECONNRESET|EPIPE|no answer/.test((error as Error).message)) throw error
      client.close()
      this.#clients.delete(connection)
      return undefined
    }
  }

  /** An id that no topic has, where there is none of this name. */
  idOf(topic: string): string {
    return this.topicIds.get(topic) ?? "AAAAAAAAAAAAAAAAAAAAAQ"
  }

  number(name: string): number {
    return this.numbers.get(name) ?? 0
  }

  text(name: string): string {
    return this.texts.get(name) ?? ""
  }

  /** Keeps an id that the server has made, for later requests and to know it in later answers. */
  learnId(name: string, id: number | string): void {
    if (typeof id === "number") this.numbers.set(name, id)
    else this.texts.set(name, id)
    if (id !== -1 && id !== "") this.given.set(id, `the ${name}`)
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }
}
