import {
  type InitProducer,
  type TransactionKind,
  TransactionRefused
} from "@logbrook/actors/transaction/TransactionProtocol"
import { weightToBegin } from "@logbrook/actors/transaction/transactionWeight"
import type { Address } from "@logbrook/core/actor/Kind"
import { answerOf, CommandList } from "@logbrook/core/shard/CommandList"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { type Answer, flatAfter } from "./Answer.ts"
import type { Outcome } from "./Asker.ts"
import type { RequestContext } from "./Handler.ts"

type Begun = Outcome<typeof TransactionKind, InitProducer>

const tooMany: Begun = Exit.fail(
  new TransactionRefused({ reason: "NoMemory", message: "There are too many transactional ids." })
)

const isOutOfMemory = (exit: Begun): boolean =>
  Exit.isFailure(exit) && Option.getOrUndefined(Cause.failureOption(exit.cause))?.reason === "NoMemory"

/**
 * Asks the coordinator to begin a producer. Where transactional ids are too many, or their memory is full, those that were at rest
 * for longest are forgotten for it, in the same turn; it is refused if all have transactions.
 */
export const beginProducer = (
  context: RequestContext,
  transactionalId: string,
  coordinator: Address<typeof TransactionKind>,
  command: InitProducer
): Answer<Begun> => {
  const { limits, transactions } = context.node.broker
  const isOneTooMany =
    transactions.count >= limits.transactionalIdsMax && transactions.get(transactionalId) === undefined
  const begun = isOneTooMany ? tooMany : context.ask(coordinator, command, (exit): Begun => exit)
  return flatAfter(begun, (exit): Answer<Begun> =>
    isOutOfMemory(exit) ? beginInsteadOfOthers(context, transactionalId, coordinator, command, exit) : exit
  )
}

const beginInsteadOfOthers = (
  context: RequestContext,
  transactionalId: string,
  coordinator: Address<typeof TransactionKind>,
  command: InitProducer,
  refusal: Begun
): Answer<Begun> => {
  const { transactions, shards } = context.node.broker
  const shard = shards.of(coordinator)
  const forgotten = transactions.takeResting(weightToBegin(transactionalId), (actor) => shards.of(actor) === shard)
  if (forgotten.length === 0) return refusal
  const list = new CommandList()
  for (const actor of forgotten) list.add(actor, { _tag: "ForgetAtRest" })
  const begins = list.add(coordinator, command)
  return context.askAll(coordinator, list, (answer): Begun => {
    transactions.putBack(forgotten)
    return answerOf(answer, begins) as Begun
  })
}
