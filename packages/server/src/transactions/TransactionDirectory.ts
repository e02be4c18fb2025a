import {
  transactionActor,
  type TransactionEvent,
  TransactionKind
} from "@logbrook/actors/transaction/TransactionProtocol"
import {
  isAtRest,
  isEnding,
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
  /** Those whose transaction has a certain outcome that is not done everywhere. */
  readonly #ending = new Set<Coordinator>()
  /** Those that are about to be forgotten. */
  readonly #taken = new Set<Coordinator>()
  #reserved = 0

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
        if (isEnding(state)) directory.#ending.add(actor)
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
      case "CommitPrepared":
      case "AbortPrepared":
        this.#ending.add(actor)
        break
      case "TransactionCompleted":
        this.#ending.delete(actor)
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

  /** Transactions whose outcome is not certain. */
  get open(): number {
    return this.#known.size - this.#atRest.size - this.#ending.size
  }

  /** Transactions whose outcome is certain, and not done everywhere. */
  get ending(): number {
    return this.#ending.size
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

  /** Whether there may be one more than are known and than are about to be. */
  hasRoom(idsMax: number): boolean {
    return this.#known.size + this.#reserved < idsMax
  }

  /** For an id that is about to be asked for and not known, until `unreserve`: those of one turn pass no bound together. */
  reserve(idsMax: number): boolean {
    if (!this.hasRoom(idsMax)) return false
    this.#reserved++
    return true
  }

  unreserve(): void {
    this.#reserved--
  }

  /** Takes the id that is at rest for longest, to be forgotten: nobody else is given it until `release`. `isEligible` is asked of each. */
  takeOldest(isEligible: (actor: Coordinator) => boolean): ReadonlyArray<Coordinator> {
    return this.#take(isEligible, () => true)
  }

  /** As `takeOldest`, so many that they weigh `bytes` together; none if all of them weigh less. */
  takeWeighing(bytes: number, isEligible: (actor: Coordinator) => boolean): ReadonlyArray<Coordinator> {
    let left = bytes
    const taken = this.#take(isEligible, (actor) => {
      const state = this.#view.get(actor)
      left -= state === undefined ? 0 : weightBytesOf(state)
      return left <= 0
    })
    if (left <= 0) return taken
    this.release(taken)
    return []
  }

  #take(
    isEligible: (actor: Coordinator) => boolean,
    isEnoughWith: (actor: Coordinator) => boolean
  ): ReadonlyArray<Coordinator> {
    const taken: Array<Coordinator> = []
    for (const actor of this.#atRest) {
      if (this.#taken.has(actor) || !isEligible(actor)) continue
      taken.push(actor)
      if (isEnoughWith(actor)) break
    }
    for (const actor of taken) this.#taken.add(actor)
    return taken
  }

  /** They were asked: one that was not forgotten after all has its place among those at rest as before. */
  release(actors: ReadonlyArray<Coordinator>): void {
    for (const actor of actors) this.#taken.delete(actor)
  }
}
