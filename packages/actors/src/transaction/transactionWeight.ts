import type { TransactionPartition } from "./TransactionProtocol.ts"

/**
 * About what a transactional id takes of memory, in bytes, with two bytes for each UTF-16 unit, as any text outside of Latin-1
 * takes. Estimated from what groups and their offsets take, and not measured.
 */
const transactionBytes = 600
const partitionBytes = 300
const groupBytes = 100

const textBytes = (text: string): number => 2 * text.length

export const weightOfTransaction = (transactionalId: string): number => transactionBytes + textBytes(transactionalId)

export const weightOfPartition = ({ topicId, stream }: TransactionPartition): number =>
  partitionBytes + textBytes(topicId) + textBytes(stream)

export const weightOfGroup = (groupId: string): number => groupBytes + textBytes(groupId)
