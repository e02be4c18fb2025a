import * as Exit from "effect/Exit"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import type { Asker } from "./Asker.ts"
import { failureOf, type Failure } from "./errors.ts"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"

/** Ids per journaled event. What is left of a block at a stop is never given. */
const blockIds = 1000

type Settle = (given: { readonly producerId: number } | Failure) => void

/** Gives ids to idempotent producers (KIP-98), each once in the life of the journal. */
export class ProducerIds {
  #next = 0
  #end = 0
  #isAsking = false
  #waiting: Array<Settle> = []

  take(context: Asker, settle: Settle): void {
    if (this.#next < this.#end) return settle({ producerId: this.#next++ })
    this.#waiting.push(settle)
    if (!this.#isAsking) this.#ask(context)
  }

  #ask(context: Asker): void {
    this.#isAsking = true
    context.ask(catalogActor, { _tag: "AllocateProducerIds", count: blockIds }, (exit) => {
      this.#isAsking = false
      const waiting = this.#waiting
      this.#waiting = []
      if (Exit.isFailure(exit)) {
        const failure = failureOf(exit.cause, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
        for (const settle of waiting) settle(failure)
        return
      }
      this.#next = exit.value.first
      this.#end = exit.value.first + exit.value.count
      for (const settle of waiting) this.take(context, settle)
    })
  }
}
