import {
  transactionActor,
  type TransactionEvent,
  TransactionKind
} from "@logbrook/actors/transaction/TransactionProtocol"
import {
  isAtRest,
  type TransactionState,
  TransactionStates,
  weightBytesOf
} from "@logbrook/actors/transaction/transactionState"
import type { Address } from "@logbrook/core/actor/Kind"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { View } from "@logbrook/core/shard/View"

type Coordinator = Address<typeof TransactionKind>

/** The transactional ids that there are, as the journal holds them. */
export class TransactionDirectory {
  readonly #view: View<typeof TransactionKind, TransactionState>
  readonly #known = new Set<Coordinator>()
  /** Those without a transaction: first the one that is so for longest. */
  readonly #atRest = new Set<Coordinator>()

  private constructor(view: View<typeof TransactionKind, TransactionState>) {
    this.#view = view
  }

  /** Follows shards that have recovered. */
  static follow(shards: Shards): TransactionDirectory {
    const directory = new TransactionDirectory(shards.view(TransactionStates))
    const resting: Array<readonly [actor: Coordinator, sinceMs: number]> = []
    shards.follow(TransactionStates, {
      restored: (actor, state) => {
        directory.#known.add(actor)
        if (isAtRest(state)) resting.push([actor, state.life.updatedAtMs])
      },
      event: (actor, event) => directory.#fold(actor, event)
    })
    resting.sort(([, a], [, b]) => a - b)
    for (const [actor] of resting) directory.#atRest.add(actor)
    return directory
  }

  #fold(actor: Coordinator, { _tag }: TransactionEvent): void {
    this.#atRest.delete(actor)
    switch (_tag) {
      case "ProducerInitialized":
        this.#known.add(actor)
        this.#atRest.add(actor)
        break
      case "TransactionCompleted":
        this.#atRest.add(actor)
        break
      case "TransactionalIdExpired":
        this.#known.delete(actor)
        break
    }
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

  /**
   * Takes out ids at rest that weigh `bytes` together, those that are so for longest, to be forgotten: nobody else is given them until
   * they are told by `putBack`. Fewer if there are not enough. `isEligible` is asked of each.
   */
  takeResting(bytes: number, isEligible: (actor: Coordinator) => boolean): ReadonlyArray<Coordinator> {
    const taken: Array<Coordinator> = []
    let left = bytes
    for (const actor of this.#atRest) {
      if (left <= 0) break
      if (!isEligible(actor)) continue
      const state = this.#view.get(actor)
      left -= state === undefined ? 0 : weightBytesOf(state)
      taken.push(actor)
    }
    for (const actor of taken) this.#atRest.delete(actor)
    return taken
  }

  /** Those that were not forgotten after all, and are at rest still. */
  putBack(actors: ReadonlyArray<Coordinator>): void {
    for (const actor of actors) {
      const state = this.#view.get(actor)
      if (state !== undefined && isAtRest(state)) this.#atRest.add(actor)
    }
  }
}
