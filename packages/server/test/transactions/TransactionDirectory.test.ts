import { makeTransaction } from "@logbrook/actors/transaction/Transaction"
import {
  transactionActor,
  type TransactionEvent,
  type TransactionKind
} from "@logbrook/actors/transaction/TransactionProtocol"
import { type TransactionState, weightBytesOf } from "@logbrook/actors/transaction/transactionState"
import { nameOf } from "@logbrook/core/actor/Definition"
import type { Address } from "@logbrook/core/actor/Kind"
import type { Shards } from "@logbrook/core/shard/Shards"
import type { Follower } from "@logbrook/core/shard/View"
import { expect, it } from "vitest"
import { TransactionDirectory } from "../../src/transactions/TransactionDirectory.ts"

type Coordinator = Address<typeof TransactionKind>

const definition = makeTransaction()

const initialized = (atMs: number): TransactionEvent => ({
  _tag: "ProducerInitialized",
  producerId: 1,
  producerEpoch: 0,
  lastProducerEpoch: -1,
  timeoutMs: 60_000,
  atMs
})
const added = (atMs: number): TransactionEvent => ({ _tag: "GroupAdded", groupId: "g", atMs })
const prepared = (atMs: number): TransactionEvent => ({
  _tag: "CommitPrepared",
  producerEpoch: 1,
  lastProducerEpoch: 0,
  nextProducerId: -1,
  version: 2,
  atMs
})
const completed = (atMs: number): TransactionEvent => ({ _tag: "TransactionCompleted", atMs })

const namesOf = (actors: ReadonlyArray<Coordinator>): ReadonlyArray<string> => actors.map(nameOf)

/** The directory over shards that hold these coordinators, and what happens to them from then on. */
class Subject {
  readonly states = new Map<Coordinator, TransactionState>()
  readonly directory: TransactionDirectory
  #follower: Follower<typeof TransactionKind, TransactionState> | undefined

  constructor(restored: Readonly<Record<string, ReadonlyArray<TransactionEvent>>>) {
    for (const [id, events] of Object.entries(restored)) for (const event of events) this.#fold(id, event)
    this.directory = TransactionDirectory.follow({
      view: () => ({ get: (actor: Coordinator) => this.states.get(actor) }),
      follow: (_: unknown, follower: Follower<typeof TransactionKind, TransactionState>) => {
        this.#follower = follower
        for (const [actor, state] of this.states) follower.restored(actor, state)
      }
    } as unknown as Shards)
  }

  #fold(id: string, event: TransactionEvent): Coordinator {
    const actor = transactionActor(id)
    this.states.set(actor, definition.evolve(this.states.get(actor) ?? definition.initial(actor), event))
    return actor
  }

  happens(id: string, ...events: ReadonlyArray<TransactionEvent>): void {
    for (const event of events) this.#follower!.event(this.#fold(id, event), event, 1)
  }

  /** All that can be taken, one after the other, without releasing them. */
  takeAll(): ReadonlyArray<string> {
    const taken: Array<string> = []
    for (;;) {
      const [oldest] = namesOf(this.directory.takeOldest(() => true))
      if (oldest === undefined) return taken
      taken.push(oldest)
    }
  }
}

it("gives the ids at rest in the order in which they came to rest, before the start and after", () => {
  const subject = new Subject({
    newest: [initialized(35)],
    late: [initialized(30)],
    open: [initialized(5), added(6)],
    early: [initialized(10)],
    ended: [initialized(1), added(2), prepared(19), completed(20)],
    ending: [initialized(1), added(2), prepared(3)]
  })
  subject.happens("new", initialized(40))
  subject.happens("early", added(41))
  subject.happens("ending", completed(42))
  subject.happens("late", initialized(43))
  expect(subject.takeAll()).toEqual(["ended", "newest", "new", "ending", "late"])
  expect(subject.takeAll(), "each is given once").toEqual([])
  expect(subject.directory.count).toBe(7)
})

it("gives no more than weigh what is needed, and only those that may be", () => {
  const subject = new Subject({ a: [initialized(1)], b: [initialized(2)], c: [initialized(3)], d: [initialized(4)] })
  const bytes = weightBytesOf(subject.states.get(transactionActor("a"))!)
  const take = (needed: number, isEligible: (actor: Coordinator) => boolean = () => true) =>
    namesOf(subject.directory.takeWeighing(needed, isEligible))
  expect(take(bytes, (actor) => actor !== transactionActor("a"))).toEqual(["b"])
  expect(take(3 * bytes + 1), "which are not there").toEqual([])
  expect(take(bytes + 1)).toEqual(["a", "c"])
})

it("gives one for one, whatever it weighs", () => {
  const subject = new Subject({ a: [initialized(1)], b: [initialized(2)] })
  expect(subject.directory.takeOldest((actor) => actor === transactionActor("b"))).toEqual([transactionActor("b")])
  expect(subject.directory.takeOldest(() => true)).toEqual([transactionActor("a")])
  expect(subject.directory.takeOldest(() => true)).toEqual([])
})

it("gives those that were not forgotten again, in their places, unless they have a transaction by then", () => {
  const subject = new Subject({ a: [initialized(1)], b: [initialized(2)], c: [initialized(3)], d: [initialized(4)] })
  const taken = [1, 2, 3].flatMap(() => subject.directory.takeOldest(() => true))
  subject.happens("b", added(5))
  subject.happens("c", { _tag: "TransactionalIdExpired", atMs: 6 })
  subject.directory.release(taken)
  expect(subject.takeAll()).toEqual(["a", "d"])
  expect(subject.directory.count).toBe(3)
})

it("counts transactions that are open and those that are ending, from before the start and since", () => {
  const subject = new Subject({
    resting: [initialized(1)],
    open: [initialized(1), added(2)],
    ending: [initialized(1), added(2), prepared(3)]
  })
  const counts = () => [subject.directory.count, subject.directory.open, subject.directory.ending]
  expect(counts()).toEqual([3, 1, 1])
  subject.happens("new", initialized(4))
  subject.happens("new", added(5))
  expect(counts()).toEqual([4, 2, 1])
  subject.happens("open", prepared(6))
  expect(counts()).toEqual([4, 1, 2])
  subject.happens("open", completed(7))
  subject.happens("ending", completed(7))
  subject.happens("resting", { _tag: "TransactionalIdExpired", atMs: 8 })
  expect(counts()).toEqual([3, 1, 0])
})

it("has room for so many, those that are about to begin included", () => {
  const { directory } = new Subject({ a: [initialized(1)] })
  expect([directory.reserve(3), directory.reserve(3), directory.reserve(3), directory.hasRoom(3)]).toEqual([
    true,
    true,
    false,
    false
  ])
  directory.unreserve()
  expect(directory.hasRoom(3)).toBe(true)
})
