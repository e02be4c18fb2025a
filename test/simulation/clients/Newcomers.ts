import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import type { NewcomersPlan } from "../Plan.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

const timeoutMs = 6000
const retryMs = 300
const transactionTimeoutMs = 60_000

/** Producers that begin under ever new transactional ids, and do nothing more: there are more than may be, so others give way to them. */
export class Newcomers implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: NewcomersPlan
  readonly #peer: KafkaPeer
  #begun = 0

  constructor(world: World, plan: NewcomersPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name)
  }

  start(): void {
    this.#later()
  }

  waitsFor(): string | undefined {
    const left = this.#plan.ids - this.#begun
    return left === 0 ? undefined : `${this.name} has ${left} transactional ids to begin`
  }

  leave(): void {
    this.#peer.close()
  }

  #later(): void {
    if (this.#begun === this.#plan.ids) return
    this.#world.scheduler.after(this.#peer.random.tail(5, retryMs) * 1000, () => this.#begin())
  }

  /** Refused are those for whom nobody can give way, since all have transactions. */
  #begin(): void {
    const request = { transactionalId: `${this.name}/${this.#begun}`, transactionTimeoutMs }
    this.#peer.request(InitProducerId, 5, request, timeoutMs, (response) => {
      this.#world.trace(`${this.name} begins ${this.#begun}: ${response?.errorCode}`)
      if (response?.errorCode === KafkaError.NONE) this.#begun++
      this.#later()
    })
  }
}
