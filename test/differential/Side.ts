import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { KafkaClient } from "../../bench/load/KafkaClient.ts"

/** More than either of them waits for anything that is asked here. */
const defaultAnswerMsMax = 10_000

/** What a server does instead of answering: it ends the connection, or leaves the request as it is. */
export type Unanswered = "closed" | "no answer"

export const isUnanswered = (answer: unknown): answer is Unanswered => answer === "closed" || answer === "no answer"

const inTime = async <A>(answer: Promise<A>, timeoutMs: number): Promise<A | Unanswered> => {
  const { promise, resolve } = Promise.withResolvers<Unanswered>()
  const timer = setTimeout(() => resolve("no answer"), timeoutMs)
  try {
    return await Promise.race([answer, promise])
  } catch (error) {
    if (!/closed by the server|ECONNRESET|EPIPE/.test((error as Error).message)) throw error
    return "closed"
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
  readonly #answerMsMax: number

  constructor(name: Side["name"], port: number, answerMsMax = defaultAnswerMsMax) {
    this.name = name
    this.port = port
    this.#answerMsMax = answerMsMax
  }

  /** `connection`: of the side's connections; the first has no name. One that is not answered is not used again. */
  async ask<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    connection = ""
  ): Promise<ResponseOf<A> | Unanswered> {
    const client = this.#clients.get(connection) ?? (await KafkaClient.connect(this.port))
    this.#clients.set(connection, client)
    const answer = await inTime(client.request(api, version, request), this.#answerMsMax)
    if (isUnanswered(answer)) {
      client.close()
      this.#clients.delete(connection)
    }
    return answer
  }

  /** As `ask`, for what must be answered: rejects if it is not. */
  async need<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    connection = ""
  ): Promise<ResponseOf<A>> {
    const answer = await this.ask(api, version, request, connection)
    if (isUnanswered(answer)) throw new Error(`${this.name}, ${api.name} ${version}: ${answer}`)
    return answer
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
