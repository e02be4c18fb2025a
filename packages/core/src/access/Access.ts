/** An operation on a resource, by the names of Kafka's ACLs. Publishing is Write, subscribing and fetching are Read. */
export type Operation =
  | "Read"
  | "Write"
  | "Create"
  | "Delete"
  | "Alter"
  | "Describe"
  | "ClusterAction"
  | "DescribeConfigs"
  | "AlterConfigs"
  | "IdempotentWrite"

/** The one that does it, as Kafka's principals are. */
export interface Principal {
  readonly type: "User"
  readonly name: string
}

/** The principal of a client that was not asked who it is. */
export const anonymous: Principal = { type: "User", name: "anonymous" }

/** The server itself. It is this very object: a client of the same name is another one. */
export const serverPrincipal: Principal = { type: "User", name: "logbrook" }

/** The thing that it is done to, with what the rules have to know of it. */
export type Resource =
  /** A stream. `isBound`: MQTT writes it. */
  | { readonly type: "Topic"; readonly name: string; readonly isBound: boolean }
  /** An MQTT topic name, or a filter without its share. */
  | { readonly type: "TopicName"; readonly name: string }
  | { readonly type: "Group"; readonly name: string }
  | { readonly type: "TransactionalId"; readonly name: string }
  | { readonly type: "Cluster" }

export type ResourceType = Resource["type"]

export const cluster: Resource = { type: "Cluster" }

/** Which rule was against it. */
export type DenialReason = "ReservedTopicName" | "SystemTopicName" | "BoundStream"

export interface Denial {
  readonly reason: DenialReason
  /** For people. */
  readonly text: string
}

/** Undefined: nothing against it. A rule has no state, clock or I/O. */
export type Rule = (principal: Principal, operation: Operation, resource: Resource) => Denial | undefined
