import {
  type InitProducer,
  type TransactionKind,
  type TransactionRefusal,
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

type Coordinator = Address<typeof TransactionKind>
type Begun = Outcome<typeof TransactionKind, InitProducer>

/** A producer that is to begin. */
export interface Beginning {
  readonly transactionalId: string
  readonly coordinator: Coordinator
  readonly command: Omit<InitProducer, "mayBeNew">
}

/** Why a coordinator refuses; undefined: it does not, or cannot answer. */
const refusalOf = (exit: Exit.Exit<unknown, unknown>): TransactionRefusal | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  return failure instanceof TransactionRefused ? failure.reason : undefined
}

/**
 * Asks the coordinator to begin a producer. It refuses what is invalid before anything else. For one transactional id more than there may be
 * the one that is at rest for longest is forgotten, and where their memory is full so many that there is room, each in the same turn as the
 * producer begins. It is refused, and nobody is chosen to be forgotten, if too few are at rest. If one of those that were chosen has begun a
 * transaction meanwhile, the others are forgotten all the same, and it is tried again.
 */
export const beginProducer = (context: RequestContext, beginning: Beginning): Answer<Begun> => {
  const { limits, transactions } = context.node.broker
  const { transactionalId, coordinator } = beginning
  const isReserved = transactions.get(transactionalId) === undefined && transactions.reserve(limits.transactionalIdsMax)
  const command = { ...beginning.command, mayBeNew: isReserved }
  const asked = context.ask(coordinator, command, (exit): Begun => {
    if (isReserved) transactions.unreserve()
    return exit
  })
  return flatAfter(asked, (exit): Answer<Begun> => {
    switch (refusalOf(exit)) {
      case "TooManyTransactionalIds":
        // It was known when it was asked, and has expired since; or others have.
        if (transactions.hasRoom(limits.transactionalIdsMax)) return beginProducer(context, beginning)
        return beginInsteadOf(transactions.takeOldest(isOfShardOf(context, coordinator)), context, beginning, exit)
      case "NoMemory": {
        const bytes = weightToBegin(transactionalId)
        const forgotten = transactions.takeWeighing(bytes, isOfShardOf(context, coordinator))
        return beginInsteadOf(forgotten, context, beginning, exit)
      }
      default:
        return exit
    }
  })
}

/** The list of one shard is one commit: only its ids give way. */
const isOfShardOf = ({ node }: RequestContext, coordinator: Coordinator): ((actor: Coordinator) => boolean) => {
  const { shards } = node.broker
  const shard = shards.of(coordinator)
  return (actor) => shards.of(actor) === shard
}

/** One that was to be forgotten has begun a transaction since it was chosen; or those that were give less memory than is needed. */
const reasonsToTryAgain: ReadonlySet<TransactionRefusal | undefined> = new Set(["InvalidTxnState", "NoMemory"] as const)

/** One id goes at least, so the new one needs no place beside those that there may be. `refusal`: the answer if nobody can be forgotten. */
const beginInsteadOf = (
  forgotten: ReadonlyArray<Coordinator>,
  context: RequestContext,
  beginning: Beginning,
  refusal: Begun
): Answer<Begun> => {
  if (forgotten.length === 0) return refusal
  const { coordinator, command } = beginning
  const list = new CommandList()
  const gone = forgotten.map((actor) => list.add(actor, { _tag: "ForgetAtRest" }))
  const begins = list.add(coordinator, { ...command, mayBeNew: true }, gone)
  const asked = context.askAll(coordinator, list, (answer): Begun => {
    context.node.broker.transactions.release(forgotten)
    const stayed = gone.map((entry) => answerOf(answer, entry)).find(Exit.isFailure)
    return (stayed ?? answerOf(answer, begins)) as Begun
  })
  return flatAfter(asked, (exit) => (reasonsToTryAgain.has(refusalOf(exit)) ? beginProducer(context, beginning) : exit))
}
