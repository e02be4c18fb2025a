import { transactionActor, type TransactionPartition } from "./TransactionProtocol.ts"

/**
 * About what a transactional id takes of memory, in bytes, with two bytes for each UTF-16 unit, as any text outside of Latin-1
 * takes. Measured by `bench/memoryWeights.ts`, with the directory of the shell.
 */
const transactionBytes = 600
/** Beside its id and its state. */
export const perActor = 600
const partitionBytes = 220
const groupBytes = 80

const textBytes = (text: string): number => 2 * text.length

export const weightOfTransaction = (transactionalId: string): number => transactionBytes + textBytes(transactionalId)

/** The bytes that a new id needs on its account, its actor included. */
export const weightToBegin = (transactionalId: string): number =>
  weightOfTransaction(transactionalId) + perActor + textBytes(transactionActor(transactionalId))

export const weightOfPartition = ({ topicId, stream }: TransactionPartition): number =>
  partitionBytes + textBytes(topicId) + textBytes(stream)

export const weightOfGroup = (groupId: string): number => groupBytes + textBytes(groupId)
