import { isBound } from "@logbrook/actors/catalog/CatalogProtocol"
import { cluster, type Denial, type Operation, type Principal, type Resource } from "@logbrook/core/access/Access"
import type { Broker } from "../Broker.ts"

/** An operation of a request on a resource. An endpoint declares all of them; `[]` if there are none. */
export type Need = readonly [operation: Operation, resource: Resource]

export const onCluster = (operation: Operation): Need => [operation, cluster]

export const onStream = (operation: Operation, name: string, { directory }: Broker): Need => {
  const stream = directory.byName(name)
  return [operation, { type: "Topic", name, isBound: stream !== undefined && isBound(stream) }]
}

export const onGroup = (operation: Operation, name: string): Need => [operation, { type: "Group", name }]

export const onTransactionalId = (operation: Operation, name: string): Need => [
  operation,
  { type: "TransactionalId", name }
]

/** A topic name of MQTT, or a filter. */
export const onTopicName = (operation: Operation, name: string): Need => [operation, { type: "TopicName", name }]

/** A stream that is bound to filters reads what is published to them. */
export const onFilters = (filters: ReadonlyArray<string>): ReadonlyArray<Need> =>
  filters.map((name) => onTopicName("Read", name))

/** Why the first of them that is denied is; undefined: whoever asks may do all of it. */
export const deniedOf = (
  { authorizer }: Broker,
  principal: Principal,
  needs: ReadonlyArray<Need>
): Denial | undefined => {
  for (const [operation, resource] of needs) {
    const denial = authorizer.authorize(principal, operation, resource)
    if (denial !== undefined) return denial
  }
  return undefined
}

export const isAllowed = (broker: Broker, principal: Principal, need: Need): boolean =>
  deniedOf(broker, principal, [need]) === undefined
