import { catalogActor, type AlterStream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import * as Exit from "effect/Exit"
import { isFailure } from "./Access.ts"
import { after, afterAll, type Answer } from "./Answer.ts"
import { configResources, otherNode, type ConfigResource } from "./configResources.ts"
import { failureOf, refused, type Failure } from "./errors.ts"
import type { ContextOf } from "./Handler.ts"
import { Reply } from "./Reply.ts"
import { bounded, failureOfName, namedTwice } from "./requestElements.ts"

export const alterNeeds = {
  Topic: ["AlterConfigs"],
  Group: ["AlterConfigs"],
  Cluster: ["AlterConfigs"]
} as const

type Context = ContextOf<typeof alterNeeds>

/** The changes to a topic's settings, or why there are none. */
export type Changes = Pick<AlterStream, "config" | "isWholeConfig" | "lists"> | Failure

/** Settings of one resource, each named once. Undefined: they are. */
export const settingTwice = (configs: ReadonlyArray<{ readonly name: string }>): Failure | undefined => {
  const [twice] = namedTwice(configs, ({ name }) => name)
  if (twice === undefined) return undefined
  return refused(KafkaError.INVALID_REQUEST, `Error due to duplicate config keys : ${twice.slice(0, 200)}`)
}

interface Altered extends ConfigResource {
  readonly errorCode: KafkaErrorCode
  readonly errorMessage: string | null
}

/** A topic that the client may not alter, or that is not there, is told before what it asks for is looked at. */
const alterTopic = (
  context: Context,
  name: string,
  changes: Changes,
  validateOnly: boolean
): Answer<Failure | undefined> => {
  if (name === "") return refused(KafkaError.INVALID_REQUEST, "Default topic resources are not allowed.")
  const stream = context.topic("AlterConfigs", name)
  if (isFailure(stream)) return failureOfName(stream, name)
  if ("code" in changes) return changes
  return context.ask(catalogActor, { _tag: "AlterStream", name, ...changes, validateOnly }, (exit) =>
    Exit.isSuccess(exit) ? undefined : failureOf(exit.cause, KafkaError.NOT_CONTROLLER)
  )
}

/** Whether there would be another setting than before. To take back what was never set changes nothing. */
const changesSomething = ({ config = [], lists = [] }: Exclude<Changes, Failure>): boolean =>
  lists.length > 0 || config.some(([, value]) => value !== null)

/** Everything but topics is set by the configuration alone. Undefined: nothing was to be changed. */
const refuseOthers = (
  context: Context,
  { resourceType, resourceName: name }: ConfigResource,
  changes: Changes
): Failure | undefined => {
  const { broker, brokerLogger, clientMetrics, group } = configResources
  if (resourceType === group) {
    const found = context.group("AlterConfigs", name)
    if (isFailure(found)) return found
  } else if (resourceType === broker || resourceType === brokerLogger) {
    const failure = context.deniedCluster("AlterConfigs") ?? otherNode(context.node.broker.nodeId, name)
    if (failure !== undefined) return failure
  } else if (resourceType === clientMetrics) {
    const denied = context.deniedCluster("AlterConfigs")
    if (denied !== undefined) return denied
  } else return refused(KafkaError.INVALID_REQUEST, `Unexpected resource type ${resourceType}.`)
  if ("code" in changes) return changes
  return changesSomething(changes)
    ? refused(
        KafkaError.INVALID_CONFIG,
        "Only topics have settings that can be changed here; the others are the server's configuration."
      )
    : undefined
}

const keyOf = ({ resourceType, resourceName }: ConfigResource): string => `${resourceType} ${resourceName}`

/** The settings of several resources, each by itself. Resources beyond the bound are left out of the answer. */
export const alterResources = <R extends ConfigResource>(
  context: Context,
  { resources: all, validateOnly }: { readonly resources: ReadonlyArray<R>; readonly validateOnly: boolean },
  changesOf: (resource: R) => Changes
): Answer<Reply<{ readonly responses: ReadonlyArray<Altered> }>> => {
  const twice = namedTwice(all, keyOf)
  const outcomeOf = (resource: R): Answer<Failure | undefined> => {
    if (twice.has(keyOf(resource))) {
      return refused(KafkaError.INVALID_REQUEST, "Each resource must appear at most once.")
    }
    return resource.resourceType === configResources.topic
      ? alterTopic(context, resource.resourceName, changesOf(resource), validateOnly)
      : refuseOthers(context, resource, changesOf(resource))
  }
  const [resources, violation] = bounded("a change of settings", "resources", all)
  const altered = resources.map((resource) =>
    after(outcomeOf(resource), (failure): Altered => ({
      errorCode: failure?.code ?? KafkaError.NONE,
      errorMessage: failure?.message ?? null,
      resourceType: resource.resourceType,
      resourceName: resource.resourceName
    }))
  )
  return afterAll(altered, (responses) => new Reply({ responses }, { violation }))
}
