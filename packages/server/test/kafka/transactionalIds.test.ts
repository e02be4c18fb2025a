import {
  transactionActor,
  type TransactionKind,
  type TransactionRefusal,
  TransactionRefused
} from "@logbrook/actors/transaction/TransactionProtocol"
import type { Address } from "@logbrook/core/actor/Kind"
import { type CommandList, type ListAnswer, NotDecided } from "@logbrook/core/shard/CommandList"
import * as Exit from "effect/Exit"
import { expect, it } from "vitest"
import type { RequestContext } from "../../src/kafka/Handler.ts"
import { beginProducer } from "../../src/kafka/transactionalIds.ts"

type AnyExit = Exit.Exit<unknown, unknown>

const refused = (reason: TransactionRefusal): AnyExit => Exit.fail(new TransactionRefused({ reason, message: "" }))
const forgotten = Exit.succeed({ _tag: "Done" })
const begun = Exit.succeed({ _tag: "ProducerInitialized", producerId: 7, producerEpoch: 0 })
const notDecided = Exit.fail(new NotDecided(0))

/** A server with as many ids as there may be, of which these are at rest, and what its coordinators answer, in this order. */
const begin = (resting: ReadonlyArray<string>, answers: ReadonlyArray<AnyExit | ReadonlyArray<AnyExit>>) => {
  const left = [...answers]
  const asked: Array<string> = []
  const oldest = resting.map(transactionActor)
  const transactions = {
    get: () => undefined,
    reserve: () => false,
    hasRoom: () => false,
    takeOldest: (): ReadonlyArray<Address<typeof TransactionKind>> => oldest.splice(0, 1),
    release: () => undefined
  }
  const context = {
    node: { broker: { limits: { transactionalIdsMax: 2 }, transactions, shards: { of: () => 0 } } },
    ask: (to: string, _command: unknown, answer: (exit: unknown) => unknown) => {
      asked.push(to)
      return answer(left.shift())
    },
    askAll: (_to: string, { entries }: CommandList, answer: (given: ListAnswer) => unknown) => {
      asked.push(entries.map((entry) => (entry._tag === "Command" ? entry.to : "")).join(" "))
      return answer({ exits: left.shift() as ReadonlyArray<AnyExit>, seq: 0 })
    }
  } as unknown as RequestContext
  const coordinator = transactionActor("new")
  const command = { _tag: "InitProducer", producerId: -1, producerEpoch: -1, timeoutMs: 1, newProducerId: 7 } as const
  const exit = beginProducer(context, { transactionalId: "new", coordinator, command })
  return { exit, asked, left }
}

const tooMany = refused("TooManyTransactionalIds")

it("a producer for whose id another was to be forgotten tries the next one where that has begun a transaction meanwhile", () => {
  const { exit, asked, left } = begin(
    ["a", "b"],
    [tooMany, [refused("InvalidTxnState"), notDecided], tooMany, [forgotten, begun]]
  )
  expect(exit).toEqual(begun)
  const [first, second] = ["transaction/a transaction/new", "transaction/b transaction/new"]
  expect(asked).toEqual(["transaction/new", first, "transaction/new", second])
  expect(left).toEqual([])
})

it("it tries again where the place of the other is no memory enough", () => {
  const { exit, asked } = begin(["a", "b"], [tooMany, [forgotten, refused("NoMemory")], begun])
  expect(exit).toEqual(begun)
  expect(asked.at(-1)).toBe("transaction/new")
})

it("it is told that the other cannot answer, and forgets nobody else", () => {
  const defect = Exit.die(new Error("its actor is being replayed"))
  const { exit, asked } = begin(["a", "b"], [tooMany, [defect, notDecided]])
  expect(exit).toEqual(defect)
  expect(asked).toHaveLength(2)
})

it("it is refused where nobody is at rest", () => {
  expect(begin([], [tooMany]).exit).toEqual(tooMany)
})
