import { cluster, type Operation, type Resource } from "@logbrook/core/access/Access"
import type { RequestContext } from "./Handler.ts"

/** Kafka's numbers of operations (AclOperation); what is allowed has the bits of them (KIP-430). */
const numbers: Readonly<Record<Operation, number>> = {
  Read: 3,
  Write: 4,
  Create: 5,
  Delete: 6,
  Alter: 7,
  Describe: 8,
  ClusterAction: 9,
  DescribeConfigs: 10,
  AlterConfigs: 11,
  IdempotentWrite: 12
}

const onBoth = ["Create", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"] as const
const ofTopic: ReadonlyArray<Operation> = ["Read", "Write", "Delete", ...onBoth]
const ofCluster: ReadonlyArray<Operation> = ["ClusterAction", "IdempotentWrite", ...onBoth]
const ofGroup: ReadonlyArray<Operation> = ["Read", "Delete", "Describe", "DescribeConfigs", "AlterConfigs"]

/** The bits of those operations that the client may do. */
const bitsOf = (context: RequestContext, resource: Resource, ofKind: ReadonlyArray<Operation>): number => {
  const permitted = new Set(context.permitted(resource))
  return ofKind.reduce((bits, operation) => (permitted.has(operation) ? bits | (1 << numbers[operation]) : bits), 0)
}

export const topicOperations = (context: RequestContext, name: string, isBound: boolean): number =>
  bitsOf(context, { type: "Topic", name, isBound }, ofTopic)

export const groupOperations = (context: RequestContext, name: string): number =>
  bitsOf(context, { type: "Group", name }, ofGroup)

export const clusterOperations = (context: RequestContext): number => bitsOf(context, cluster, ofCluster)
