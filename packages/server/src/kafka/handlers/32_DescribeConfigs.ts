import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { streamSettings, type SettingType } from "@logbrook/actors/catalog/StreamConfig"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeConfigs } from "@logbrook/protocols/kafka/messages/32_DescribeConfigs"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { configResources, configSources, otherNode, type ConfigResource } from "../configResources.ts"
import { refused, type Failure } from "../errors.ts"
import { handler, type ContextOf, type RequestContext } from "../Handler.ts"
import { nodeSettings, type NodeSetting } from "../nodeSettings.ts"
import { Reply } from "../Reply.ts"
import { bounded, failureOfName } from "../requestElements.ts"

// DescribeConfigs 1-4: all settings of topics and of this node, or those that are named (no names are all, as null). Loggers,
// client metrics and groups have no settings of their own here, nor have the defaults of all nodes (an empty name).

const needs = {
  Topic: ["DescribeConfigs"],
  Group: ["DescribeConfigs"],
  Cluster: ["DescribeConfigs"]
} as const

type Context = ContextOf<typeof needs>
type Result = ResponseInputOf<typeof DescribeConfigs>["results"][number]
type Config = Result["configs"][number]

/** Kafka's numbers of types (ConfigType). */
const types: Readonly<Record<SettingType, number>> = { Boolean: 1, String: 2, Int: 3, Long: 5, Double: 6, List: 7 }

const ofTopic = (context: RequestContext, { config }: Stream): ReadonlyArray<Config> =>
  streamSettings(context.node.broker.limits).map(({ name, type, byDefault, nodeName, documentation }) => {
    const own = config.get(name)
    const ofNode = nodeName === undefined ? [] : [{ name: nodeName, value: byDefault, source: configSources.byDefault }]
    return {
      name,
      value: own ?? byDefault,
      readOnly: false,
      configSource: own === undefined ? configSources.byDefault : configSources.topic,
      isSensitive: false,
      synonyms: own === undefined ? ofNode : [{ name, value: own, source: configSources.topic }, ...ofNode],
      configType: types[type],
      documentation
    }
  })

const ofNode = ({ name, type, value, source, documentation }: NodeSetting): Config => ({
  name,
  value,
  readOnly: true,
  configSource: source,
  isSensitive: false,
  synonyms: [{ name, value, source }],
  configType: types[type],
  documentation
})

const topicConfigs = (context: Context, name: string): ReadonlyArray<Config> | Failure => {
  const stream = context.topic("DescribeConfigs", name)
  return isFailure(stream) ? failureOfName(stream, name) : ofTopic(context, stream)
}

const nodeConfigs = (context: Context, name: string, isOfLoggers: boolean): ReadonlyArray<Config> | Failure => {
  const failure = context.deniedCluster("DescribeConfigs") ?? otherNode(context.node.broker.nodeId, name)
  if (failure !== undefined) return failure
  if (isOfLoggers && name === "") return refused(KafkaError.INVALID_REQUEST, "Broker id must not be empty")
  return isOfLoggers || name === "" ? [] : nodeSettings(context).map(ofNode)
}

const configsOf = (
  context: Context,
  { resourceType, resourceName: name }: ConfigResource
): ReadonlyArray<Config> | Failure => {
  switch (resourceType) {
    case configResources.topic:
      return topicConfigs(context, name)
    case configResources.broker:
    case configResources.brokerLogger:
      return nodeConfigs(context, name, resourceType === configResources.brokerLogger)
    case configResources.clientMetrics:
      return context.deniedCluster("DescribeConfigs") ?? []
    case configResources.group: {
      if (name === "") return refused(KafkaError.INVALID_REQUEST, "Group name must not be empty")
      const group = context.group("DescribeConfigs", name)
      return isFailure(group) ? group : []
    }
    default:
      return refused(KafkaError.INVALID_REQUEST, `Unsupported resource type: ${resourceType}`)
  }
}

type Request = RequestOf<typeof DescribeConfigs>

const describeResource = (
  context: Context,
  asked: Request["resources"][number],
  { includeSynonyms, includeDocumentation }: Request
): Result => {
  const { resourceType, resourceName, configurationKeys } = asked
  const configs = configsOf(context, asked)
  if (isFailure(configs)) {
    return { errorCode: configs.code, errorMessage: configs.message, resourceType, resourceName, configs: [] }
  }
  const keys = new Set(configurationKeys)
  const named = configs
    .filter(({ name }) => keys.size === 0 || keys.has(name))
    .map(({ synonyms, documentation, ...config }) => ({
      ...config,
      synonyms: includeSynonyms ? synonyms! : [],
      documentation: includeDocumentation ? documentation! : null
    }))
  return { errorCode: KafkaError.NONE, errorMessage: null, resourceType, resourceName, configs: named }
}

export const describeConfigsHandler = handler(DescribeConfigs, {
  serves: [1, 4],
  needs,
  handle: (context, request) => {
    const [resources, violation] = bounded("DescribeConfigs", "resources", request.resources)
    const results = resources.map((each) => describeResource(context, each, request))
    return new Reply({ results }, { violation })
  }
})
