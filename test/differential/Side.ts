import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { KafkaClient } from "../../bench/load/KafkaClient.ts"

/** One of the two servers, and what is known of it only. */
export class Side {
  readonly name: "kafka" | "logbrook"
  readonly port: number
  /** By topic: ids are made by chance. */
  readonly topicIds = new Map<string, string>()
  /** The leader epoch of every partition. */
  leaderEpoch = -1
  /** Of the scenario under way, such as a fetch session's id. */
  readonly numbers = new Map<string, number>()
  #client: KafkaClient | undefined

  constructor(name: Side["name"], port: number) {
    this.name = name
    this.port = port
  }

  /** Undefined: the server has closed the connection. */
  async ask<A extends AnyApi>(api: A, version: number, request: RequestInputOf<A>): Promise<ResponseOf<A> | undefined> {
    this.#client ??= await KafkaClient.connect(this.port)
    try {
      return await this.#client.request(api, version, request)
    } catch (error) {
      if (!/closed by the server|ECONNRESET|EPIPE/.test((error as Error).message)) throw error
      this.#client = undefined
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

  close(): void {
    this.#client?.close()
  }
}
