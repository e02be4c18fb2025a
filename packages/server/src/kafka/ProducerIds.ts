import * as Exit from "effect/Exit"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { Pending, type Answer } from "./Answer.ts"
import type { Asker } from "./Asker.ts"
import { failureOf, type Failure } from "./errors.ts"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"

/** The ids per journaled event. Those that are left of a block at a stop are never given. */
const blockIds = 1000

/** An id, or why there is none. */
export type Given = { readonly producerId: number } | Failure

/** Gives ids to idempotent producers (KIP-98), each once in the life of the journal. */
export class ProducerIds {
  #next = 0
  #end = 0
  #isAsking = false
  #waiting: Array<Pending<Given>> = []

  take(asker: Asker): Answer<Given> {
    if (this.#next < this.#end) return { producerId: this.#next++ }
    const later = new Pending<Given>()
    this.#waiting.push(later)
    if (!this.#isAsking) this.#ask(asker)
    return later
  }

  #ask(asker: Asker): void {
    this.#isAsking = true
    asker.ask(catalogActor, { _tag: "AllocateProducerIds", count: blockIds }, (exit) => {
      this.#isAsking = false
      if (Exit.isSuccess(exit)) {
        this.#next = exit.value.first
        this.#end = exit.value.first + exit.value.count
        this.#give(asker)
      } else {
        const failure = failureOf(exit.cause, KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
        for (const later of this.#waiting.splice(0)) later.give(failure)
      }
    })
  }

  /** To those that wait, as far as the block goes. */
  #give(asker: Asker): void {
    for (const later of this.#waiting.splice(0, this.#end - this.#next)) later.give({ producerId: this.#next++ })
    if (this.#waiting.length > 0) this.#ask(asker)
  }
}
