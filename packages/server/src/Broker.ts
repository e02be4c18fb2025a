import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { Client } from "@logbrook/actors/client/Client"
import { makeCatalog } from "@logbrook/actors/catalog/Catalog"
import { Partition } from "@logbrook/actors/partition/Partition"
import type { Authorizer } from "@logbrook/core/access/Authorizer"
import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"
import type { Shards } from "@logbrook/core/shard/Shards"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { makeGroup } from "@logbrook/actors/group/Group"
import { defaultGroupSettings, type GroupSettings } from "@logbrook/actors/group/GroupProtocol"
import { makeTransaction } from "@logbrook/actors/transaction/Transaction"
import { defaultTransactionSettings, type TransactionSettings } from "@logbrook/actors/transaction/TransactionProtocol"
import { makeSession } from "@logbrook/actors/session/Session"
import { makeStreamShare } from "@logbrook/actors/streamShare/StreamShare"
import { Retained } from "@logbrook/actors/retained/Retained"
import type { Disk } from "./DiskGuard.ts"
import type { ConnectionGate } from "./net/ConnectionGate.ts"
import type { Log } from "./Log.ts"
import type { Metrics } from "./Metrics.ts"
import type { StreamDirectory } from "./streams/StreamDirectory.ts"
import type { TransactionDirectory } from "./transactions/TransactionDirectory.ts"

/** The parts with which every protocol's shell works: one shard and what is derived from it. */
export interface Broker {
  readonly shards: Shards
  readonly directory: StreamDirectory
  readonly transactions: TransactionDirectory
  readonly authorizer: Authorizer
  readonly disk: Disk
  /** The gate of all listeners together. */
  readonly gate: ConnectionGate
  readonly clock: Clock
  readonly limits: Limits
  readonly metrics: Metrics
  readonly log: Log
  /** The cluster id of this process; Kafka clients see it. */
  readonly clusterId: string
  readonly nodeId: number
}

const groupSettings = (limits: Limits): GroupSettings => ({
  ...defaultGroupSettings,
  membersMax: limits.groupMembersMax,
  memberMetadataBytesMax: limits.groupMetadataBytesMax,
  bytesMax: limits.groupBytesMax,
  sessionTimeoutMsMin: limits.groupSessionTimeoutMsMin,
  sessionTimeoutMsMax: limits.groupSessionTimeoutMsMax,
  offsetMetadataLengthMax: limits.groupOffsetMetadataLengthMax,
  offsetsMax: limits.groupOffsetsMax,
  offsetsRetentionMs: limits.groupOffsetsRetentionMs
})

const transactionSettings = (limits: Limits): TransactionSettings => ({
  ...defaultTransactionSettings,
  timeoutMsMax: limits.transactionTimeoutMsMax,
  idExpirationMs: limits.transactionalIdExpirationMs,
  membersMax: limits.transactionPartitionsMax
})

/** All actors, for the shard, and for tools that replay a journal. */
export const definitions = (limits: Limits): ReadonlyArray<AnyDefinition> => [
  ShardActor,
  makeCatalog(limits),
  Partition,
  makeGroup(groupSettings(limits)),
  makeTransaction(transactionSettings(limits)),
  makeSession(limits),
  makeStreamShare(limits),
  Retained,
  Client
]
