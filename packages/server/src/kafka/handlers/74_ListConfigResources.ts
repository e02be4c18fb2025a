import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListConfigResources } from "@logbrook/protocols/kafka/messages/74_ListConfigResources"
import { configResources } from "../configResources.ts"
import { handler, type ContextOf } from "../Handler.ts"

// ListConfigResources 0-1: topics and this node, of all types or of some (v1). Groups and client metrics have no settings of their
// own. v0 asks for client metrics alone.

const needs = { Cluster: ["DescribeConfigs"], Topic: ["DescribeConfigs"] } as const

const { topic, broker, brokerLogger, clientMetrics, group } = configResources
const allTypes: ReadonlyArray<number> = [topic, broker, brokerLogger, clientMetrics, group]

const namesOf = (context: ContextOf<typeof needs>, type: number): ReadonlyArray<string> => {
  if (type === topic) return context.topics("DescribeConfigs").map(({ name }) => name)
  return type === broker || type === brokerLogger ? [String(context.node.broker.nodeId)] : []
}

export const listConfigResourcesHandler = handler(ListConfigResources, {
  serves: [0, 1],
  needs,
  handle: (context, { resourceTypes }, version) => {
    const denied = context.deniedCluster("DescribeConfigs")
    if (denied !== undefined) return { errorCode: denied.code, configResources: [] }
    const asked = version === 0 ? [clientMetrics] : resourceTypes
    if (asked.some((type) => !allTypes.includes(type))) {
      return { errorCode: KafkaError.UNSUPPORTED_VERSION, configResources: [] }
    }
    const found = (asked.length === 0 ? allTypes : [...new Set(asked)]).flatMap((resourceType) =>
      namesOf(context, resourceType).map((resourceName) => ({ resourceName, resourceType }))
    )
    return { errorCode: KafkaError.NONE, configResources: found }
  }
})
