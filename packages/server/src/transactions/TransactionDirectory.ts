import { TransactionKind, transactionActor } from "@logbrook/actors/transaction/TransactionProtocol"
import { type TransactionState, TransactionStates } from "@logbrook/actors/transaction/transactionState"
import type { Address } from "@logbrook/core/actor/Kind"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { View } from "@logbrook/core/shard/View"

/** The transactional ids that there are, as the journal holds them. */
export class TransactionDirectory {
  readonly #view: View<typeof TransactionKind, TransactionState>
  readonly #known = new Set<Address<typeof TransactionKind>>()

  private constructor(view: View<typeof TransactionKind, TransactionState>) {
    this.#view = view
  }

  /** Follows shards that have recovered. */
  static follow(shards: Shards): TransactionDirectory {
    const directory = new TransactionDirectory(shards.view(TransactionStates))
    shards.follow(TransactionStates, {
      restored: (actor) => void directory.#known.add(actor),
      event: (actor, { _tag }) => {
        if (_tag === "ProducerInitialized") directory.#known.add(actor)
        else if (_tag === "TransactionalIdExpired") directory.#known.delete(actor)
      }
    })
    return directory
  }

  get count(): number {
    return this.#known.size
  }

  /** Undefined: nobody uses this id. */
  get(transactionalId: string): TransactionState | undefined {
    const actor = transactionActor(transactionalId)
    return this.#known.has(actor) ? this.#view.get(actor) : undefined
  }

  *all(): Iterable<TransactionState> {
    for (const actor of this.#known) {
      const state = this.#view.get(actor)
      if (state !== undefined) yield state
    }
  }
}
