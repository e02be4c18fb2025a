import * as Exit from "effect/Exit"
import { type Answer, type Draft, prepare, refused } from "./transactionDraft.ts"
import type { TransactionLife } from "./transactionMachine.ts"
import { type End, isExhausted, onlyFences } from "./TransactionProtocol.ts"

const unknownProducer = refused("InvalidProducerIdMapping", "The producer id is not the transactional id's.")
const fenced = refused("ProducerFenced", "The producer's epoch is not the newest.")
const ending = refused("ConcurrentTransactions", "The transaction is ending.")
const wrongState = refused("InvalidTxnState", "No transaction is there that could end so.")

/** EndTxn by the rules of the client's version. */
export const decideEnd = (draft: Draft, command: End): Answer =>
  command.version === 1 ? endVersion1(draft, command) : endVersion2(draft, command)

/** With which id and epoch the producer goes on. */
const prepared = ({ producerId, producerEpoch, nextProducerId }: TransactionLife): Answer =>
  nextProducerId === -1
    ? Exit.succeed({ _tag: "EndPrepared", producerId, producerEpoch })
    : Exit.succeed({ _tag: "EndPrepared", producerId: nextProducerId, producerEpoch: 0 })

/** The epoch stays: an end that comes again is known by its outcome. */
const endVersion1 = (draft: Draft, { producerId, producerEpoch, outcome }: End): Answer => {
  const { name, life } = draft.state
  if (life.producerId !== producerId || producerId === -1) return unknownProducer
  if (life.producerEpoch !== producerEpoch) return fenced
  switch (name) {
    case "Ongoing":
      prepare(draft, {
        _tag: outcome === "commit" ? "CommitPrepared" : "AbortPrepared",
        producerEpoch,
        lastProducerEpoch: life.lastProducerEpoch,
        nextProducerId: -1,
        version: 1,
        atMs: draft.nowMs
      })
      return prepared(draft.state.life)
    case "CompleteCommit":
      return outcome === "commit" ? prepared(life) : wrongState
    case "CompleteAbort":
      return outcome === "abort" ? prepared(life) : wrongState
    case "PrepareCommit":
      return outcome === "commit" ? ending : wrongState
    case "PrepareAbort":
      return outcome === "abort" ? ending : wrongState
    default:
      return wrongState
  }
}

/**
 * The producer's last end, asked for again by the id and epoch that it had then. The abort that a producer's own InitProducerId began is
 * such an end too: it raised the epoch of the one who asked. Any other fence leaves nobody who may ask again.
 */
const isEndAgain = (life: TransactionLife, { producerId, producerEpoch }: End): boolean =>
  producerEpoch !== -1 &&
  producerEpoch === life.lastProducerEpoch &&
  (producerId === life.producerId
    ? life.producerEpoch === producerEpoch + 1
    : producerId === life.lastProducerId && isExhausted(producerEpoch) && life.producerEpoch === 0)

/**
 * Each end raises the epoch, so that one that comes again is known by it (KIP-890). "Again" is an end with the epoch before the one that
 * was raised, by an end or by the producer's own InitProducerId, which aborts what is open:
 *
 * | | abort, again | abort | commit, again | commit |
 * |---|---|---|---|---|
 * | Empty | fenced | a new end | fenced | InvalidTxnState |
 * | Ongoing | fenced | a new end | fenced | a new end |
 * | PrepareAbort | ConcurrentTransactions | fenced | InvalidTxnState | fenced |
 * | PrepareCommit | InvalidTxnState | fenced | ConcurrentTransactions | fenced |
 * | CompleteAbort | as it was answered | a new end | InvalidTxnState | InvalidTxnState |
 * | CompleteCommit | InvalidTxnState | a new end | as it was answered | InvalidTxnState |
 *
 * After an abort that has raised the greatest epoch of the id nobody can end anything by that id: all are fenced.
 */
const endVersion2 = (draft: Draft, command: End): Answer => {
  const { name, life } = draft.state
  const { producerId, producerEpoch, outcome } = command
  const isAgain = isEndAgain(life, command)
  if (producerId === -1 || (life.producerId !== producerId && !isAgain)) return unknownProducer
  const isCurrent = life.producerId === producerId && life.producerEpoch === producerEpoch
  switch (name) {
    case "Ongoing":
      return isCurrent ? end(draft, command) : fenced
    case "Empty":
      if (!isCurrent) return fenced
      return outcome === "abort" ? end(draft, command) : wrongState
    case "PrepareCommit":
    case "PrepareAbort":
      if (!isAgain) return fenced
      return outcome === (name === "PrepareCommit" ? "commit" : "abort") ? ending : wrongState
    case "CompleteCommit":
    case "CompleteAbort":
      if (onlyFences(life.producerEpoch)) return fenced
      if (isAgain) return outcome === (name === "CompleteCommit" ? "commit" : "abort") ? prepared(life) : wrongState
      if (!isCurrent) return fenced
      return outcome === "abort" ? end(draft, command) : wrongState
    case "PrepareEpochFence":
    case "Dead":
      return wrongState
  }
}

const end = (draft: Draft, { producerEpoch, outcome, newProducerId }: End): Answer => {
  if (isExhausted(producerEpoch) && newProducerId === -1) {
    throw new Error("a producer whose epochs are exhausted ends without a new id")
  }
  const nextProducerId = isExhausted(producerEpoch) ? newProducerId : -1
  prepare(draft, {
    _tag: outcome === "commit" ? "CommitPrepared" : "AbortPrepared",
    producerEpoch: producerEpoch + 1,
    lastProducerEpoch: producerEpoch,
    nextProducerId,
    version: 2,
    atMs: draft.nowMs
  })
  return prepared(draft.state.life)
}
