import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { GroupKind } from "@logbrook/actors/group/GroupProtocol"
import type { Operation, ResourceType } from "@logbrook/core/access/Access"
import type { TransactionKind } from "@logbrook/actors/transaction/TransactionProtocol"
import type { Address } from "@logbrook/core/actor/Kind"
import type { Failure } from "./errors.ts"

/** The operations of an API on resources, as its handler declares them; `{}` if there are none. */
export type Needs = { readonly [T in ResourceType]?: ReadonlyArray<Operation> }

type OperationOn<N extends Needs, T extends ResourceType> =
  NonNullable<N[T]> extends ReadonlyArray<infer O extends Operation> ? O : never

/**
 * The only way of a handler to streams, groups and transactions: it says what it does to them, and that is among its needs. A `Failure` says
 * that the client may not, or that there is no such stream.
 */
export interface Access<N extends Needs> {
  readonly topic: (operation: OperationOn<N, "Topic">, name: string) => Stream | Failure
  /** By the id that Kafka prints: 22 characters of base64url. */
  readonly topicById: (operation: OperationOn<N, "Topic">, topicId: string) => Stream | Failure
  /** All that the client may. */
  readonly topics: (operation: OperationOn<N, "Topic">) => ReadonlyArray<Stream>
  readonly group: (operation: OperationOn<N, "Group">, groupId: string) => Address<typeof GroupKind> | Failure
  /** A transactional id has a character at least. */
  readonly transaction: (
    operation: OperationOn<N, "TransactionalId">,
    transactionalId: string
  ) => Address<typeof TransactionKind> | Failure
  /** The denial for a transactional id, which may be of any text; undefined: the client may. */
  readonly deniedTransaction: (
    operation: OperationOn<N, "TransactionalId">,
    transactionalId: string
  ) => Failure | undefined
  /** The denial for a topic, which need not exist; undefined: the client may. */
  readonly deniedTopic: (operation: OperationOn<N, "Topic">, name: string) => Failure | undefined
  /** Undefined: the client may. */
  readonly deniedCluster: (operation: OperationOn<N, "Cluster">) => Failure | undefined
}

/** Everything, for the one that hands it to handlers, each of which sees what it needs. */
export interface FullAccess {
  readonly topic: (operation: Operation, name: string) => Stream | Failure
  readonly topicById: (operation: Operation, topicId: string) => Stream | Failure
  readonly topics: (operation: Operation) => ReadonlyArray<Stream>
  readonly group: (operation: Operation, groupId: string) => Address<typeof GroupKind> | Failure
  readonly transaction: (operation: Operation, transactionalId: string) => Address<typeof TransactionKind> | Failure
  readonly deniedTransaction: (operation: Operation, transactionalId: string) => Failure | undefined
  readonly deniedTopic: (operation: Operation, name: string) => Failure | undefined
  readonly deniedCluster: (operation: Operation) => Failure | undefined
}

export const isFailure = (found: object | string): found is Failure => typeof found === "object" && "code" in found
