import { assign, setup, transition } from "xstate"
import type {
  FinishTransaction,
  TransactionEvent,
  TransactionPartition,
  TransactionVersion
} from "./TransactionProtocol.ts"

/** Kafka's names: what DescribeTransactions and ListTransactions show. */
export const transactionStateNames = [
  "Empty",
  "Ongoing",
  "PrepareCommit",
  "PrepareAbort",
  "CompleteCommit",
  "CompleteAbort",
  "PrepareEpochFence",
  "Dead"
] as const

export type TransactionStateName = (typeof transactionStateNames)[number]

/** The producer of a transactional id and its transaction. Times are in Unix ms. */
export interface TransactionLife {
  /** -1: nobody has asked for this id yet. */
  readonly producerId: number
  readonly producerEpoch: number
  /** The id before this one, of which the epochs were exhausted; -1: there was none. */
  readonly lastProducerId: number
  /** The epoch with which the producer asked for the one that it has, so that it may ask again; -1: with none. */
  readonly lastProducerEpoch: number
  /** The id with which the producer goes on behind the end that is prepared, and epoch 0; -1: with its own. */
  readonly nextProducerId: number
  readonly timeoutMs: number
  /** By log id, in the order in which they were added. */
  readonly partitions: ReadonlyMap<number, TransactionPartition>
  readonly groups: ReadonlySet<string>
  /** -1 unless a transaction is open or ending. */
  readonly startedAtMs: number
  readonly updatedAtMs: number
  /** That of the end that is prepared. */
  readonly version: TransactionVersion
}

const noPartitions: TransactionLife["partitions"] = new Map()
const noGroups: TransactionLife["groups"] = new Set()

export const unusedLife: TransactionLife = {
  producerId: -1,
  producerEpoch: -1,
  lastProducerId: -1,
  lastProducerEpoch: -1,
  nextProducerId: -1,
  timeoutMs: 0,
  partitions: noPartitions,
  groups: noGroups,
  startedAtMs: -1,
  updatedAtMs: -1,
  version: 1
}

const begun = (life: TransactionLife, atMs: number): TransactionLife => ({
  ...life,
  startedAtMs: life.startedAtMs === -1 ? atMs : life.startedAtMs,
  updatedAtMs: atMs
})

const completed = (life: TransactionLife, atMs: number): TransactionLife => {
  const ended = { ...life, partitions: noPartitions, groups: noGroups, startedAtMs: -1, updatedAtMs: atMs }
  if (life.nextProducerId === -1) return ended
  return {
    ...ended,
    producerId: life.nextProducerId,
    producerEpoch: 0,
    lastProducerId: life.producerId,
    nextProducerId: -1
  }
}

export const foldLife = (life: TransactionLife, event: TransactionEvent): TransactionLife => {
  switch (event._tag) {
    case "ProducerInitialized": {
      const { producerId, producerEpoch, lastProducerEpoch, timeoutMs, atMs } = event
      const lastProducerId = producerId === life.producerId ? life.lastProducerId : life.producerId
      return { ...life, producerId, producerEpoch, lastProducerId, lastProducerEpoch, timeoutMs, updatedAtMs: atMs }
    }
    case "PartitionsAdded": {
      const added = event.partitions.map((partition) => [partition.logId, partition] as const)
      return { ...begun(life, event.atMs), partitions: new Map([...life.partitions, ...added]) }
    }
    case "GroupAdded":
      return { ...begun(life, event.atMs), groups: new Set(life.groups).add(event.groupId) }
    case "ProducerFenced":
      return { ...life, producerEpoch: event.producerEpoch, lastProducerEpoch: -1 }
    case "CommitPrepared":
    case "AbortPrepared": {
      const { producerEpoch, lastProducerEpoch, nextProducerId, version, atMs } = event
      return { ...begun(life, atMs), producerEpoch, lastProducerEpoch, nextProducerId, version }
    }
    case "TransactionCompleted":
      return completed(life, event.atMs)
    case "TransactionalIdExpired":
      return unusedLife
  }
}

/** A journal event as xstate wants it: the same, with its tag as `type` too. */
type Typed<E> = E extends { readonly _tag: infer Tag } ? E & { readonly type: Tag } : never

/** Where no transaction is open or ending. */
const atRest = {
  PartitionsAdded: { target: "Ongoing", actions: "fold" },
  GroupAdded: { target: "Ongoing", actions: "fold" },
  AbortPrepared: { target: "PrepareAbort", actions: "fold" },
  TransactionalIdExpired: { target: "Dead", actions: "fold" }
} as const

/**
 * The states of Kafka's transaction coordinator (KIP-98, KIP-360, KIP-890). Machine events are journal events; the only
 * action folds. Deadlines, replies and refusals are `decide`'s.
 *
 * | State | What it does | Where it goes |
 * |---|---|---|
 * | Empty | has a producer and no transaction; gives the next epoch to whoever begins, which fences the one before | the first partition or group: Ongoing; a client of version 2 aborts what it never began: `AbortPrepared` → PrepareAbort; unused for long: Dead |
 * | Ongoing | takes partitions and groups; its timeout runs | the producer's end: `CommitPrepared` → PrepareCommit, `AbortPrepared` → PrepareAbort; its timeout, another producer or an operator: `ProducerFenced` → PrepareEpochFence |
 * | PrepareEpochFence | is there within one commit only: the epoch of the producer that is fenced was raised | `AbortPrepared` → PrepareAbort |
 * | PrepareCommit | the outcome is certain: commits are told to partitions and groups until all have confirmed; whoever asks for more is told to come again | `TransactionCompleted` → CompleteCommit |
 * | PrepareAbort | the same with an abort | `TransactionCompleted` → CompleteAbort |
 * | CompleteCommit, CompleteAbort | as Empty, and an end that is asked for again is answered as it was | as Empty; the next producer: `ProducerInitialized` → Empty |
 * | Dead | is forgotten: as a transactional id that never was | the next producer: `ProducerInitialized` → Empty |
 */
export const transactionMachine = setup({
  types: { context: {} as TransactionLife, events: {} as Typed<TransactionEvent> },
  actions: {
    fold: assign(({ context, event }) => foldLife(context, event))
  }
}).createMachine({
  id: "transaction",
  initial: "Empty",
  context: unusedLife,
  states: {
    Empty: {
      on: { ...atRest, ProducerInitialized: { actions: "fold" } }
    },
    Ongoing: {
      on: {
        PartitionsAdded: { actions: "fold" },
        GroupAdded: { actions: "fold" },
        ProducerFenced: { target: "PrepareEpochFence", actions: "fold" },
        CommitPrepared: { target: "PrepareCommit", actions: "fold" },
        AbortPrepared: { target: "PrepareAbort", actions: "fold" }
      }
    },
    PrepareEpochFence: {
      on: { AbortPrepared: { target: "PrepareAbort", actions: "fold" } }
    },
    PrepareCommit: {
      on: { TransactionCompleted: { target: "CompleteCommit", actions: "fold" } }
    },
    PrepareAbort: {
      on: { TransactionCompleted: { target: "CompleteAbort", actions: "fold" } }
    },
    CompleteCommit: {
      on: { ...atRest, ProducerInitialized: { target: "Empty", actions: "fold" } }
    },
    CompleteAbort: {
      on: { ...atRest, ProducerInitialized: { target: "Empty", actions: "fold" } }
    },
    Dead: {
      on: { ProducerInitialized: { target: "Empty", actions: "fold" } }
    }
  }
})

/** Where a transactional id is in its life. */
export interface Lifecycle {
  readonly name: TransactionStateName
  readonly life: TransactionLife
}

export const unusedLifecycle: Lifecycle = { name: "Empty", life: unusedLife }

const stateOf = (value: TransactionStateName) => transactionMachine.resolveState({ value, context: unusedLife })

/** No transition has a guard: what a state takes, its name alone tells. */
const states = Object.fromEntries(transactionStateNames.map((name) => [name, stateOf(name)])) as Readonly<
  Record<TransactionStateName, ReturnType<typeof stateOf>>
>

/** Whether the state takes such an event. */
export const can = ({ name }: Lifecycle, tag: TransactionEvent["_tag"]): boolean =>
  states[name].can({ type: tag } as Typed<TransactionEvent>)

/** Throws for an event that the state does not take. A machine's snapshot lives for one transition only: it weighs more than the state. */
export const nextLifecycle = (before: Lifecycle, event: TransactionEvent): Lifecycle => {
  const { name, life } = before
  if (!can(before, event._tag)) throw new Error(`the journal holds ${event._tag} in a state that does not take it`)
  const snapshot = transactionMachine.resolveState({ value: name, context: life })
  const [next] = transition(transactionMachine, snapshot, { ...event, type: event._tag } as Typed<TransactionEvent>)
  return { name: next.value, life: next.context }
}

/** The markers and offsets that a state leads to whose outcome is certain; undefined in the others. */
export const finishOf = (transactionalId: string, { name, life }: Lifecycle): FinishTransaction | undefined => {
  if (name !== "PrepareCommit" && name !== "PrepareAbort") return undefined
  return {
    _tag: "FinishTransaction",
    transactionalId,
    producerId: life.producerId,
    producerEpoch: life.producerEpoch,
    outcome: name === "PrepareCommit" ? "commit" : "abort",
    version: life.version,
    partitions: [...life.partitions.values()],
    groups: [...life.groups]
  }
}
