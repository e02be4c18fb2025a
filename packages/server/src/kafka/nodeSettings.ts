import { streamSettings, type SettingType } from "@logbrook/actors/catalog/StreamConfig"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import type { RequestContext } from "./Handler.ts"
import { configSources } from "./configResources.ts"

/** A setting of this node under Kafka's name. */
export interface NodeSetting {
  readonly name: string
  readonly type: SettingType
  readonly value: string
  readonly source: number
  readonly documentation: string
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs

const given = (name: string, type: SettingType, value: string | number, documentation: string): NodeSetting => ({
  name,
  type,
  value: String(value),
  source: configSources.staticBroker,
  documentation
})

const byDefault = (name: string, type: SettingType, value: string | number, documentation: string): NodeSetting => ({
  ...given(name, type, value, documentation),
  source: configSources.byDefault
})

/** Given, if the operator has set the limit; the documentation names it. */
const ofLimit = (
  limits: Limits,
  name: string,
  limit: keyof Limits,
  toValue: (limit: number) => number = (same) => same
): NodeSetting =>
  (limits[limit] === defaultLimits[limit] ? byDefault : given)(name, "Int", toValue(limits[limit]), `limits.${limit}`)

/** The settings of a broker, in Kafka's words, that this server has in some form. They are read-only: the configuration has them. */
export const nodeSettings = ({ node, advertised, securityProtocol }: RequestContext): ReadonlyArray<NodeSetting> => {
  const { nodeId, limits } = node.broker
  const { autoCreateTopics, defaultPartitions } = node.settings
  const settings = streamSettings(limits)
  const shipped = new Map(streamSettings(defaultLimits).map((each) => [each.name, each.byDefault]))
  const ofStreams = settings.flatMap(({ name, nodeName, type, byDefault: value, documentation }) => {
    if (nodeName === undefined) return []
    return [(value === shipped.get(name) ? byDefault : given)(nodeName, type, value, documentation)]
  })
  const retentionMs = Number(settings.find(({ name }) => name === "retention.ms")!.byDefault)
  const listener = `${securityProtocol}://${advertised.host}:${advertised.port}`
  return [
    ...ofStreams,
    given("broker.id", "Int", nodeId, "This node."),
    given("node.id", "Int", nodeId, "This node."),
    given("process.roles", "List", "broker,controller", "There is one node, which is both."),
    given("advertised.listeners", "String", listener, "Where this client can reach the server again."),
    byDefault("log.retention.ms", "Long", retentionMs, "The retention.ms of topics that have none of their own."),
    byDefault("log.retention.minutes", "Int", retentionMs / minuteMs, "log.retention.ms in minutes."),
    byDefault("log.retention.hours", "Int", retentionMs / hourMs, "log.retention.ms in hours."),
    (autoCreateTopics ? given : byDefault)(
      "auto.create.topics.enable",
      "Boolean",
      String(autoCreateTopics),
      "kafka.autoCreateTopics"
    ),
    byDefault("delete.topic.enable", "Boolean", "true", "Topics can be deleted."),
    (defaultPartitions === 1 ? byDefault : given)(
      "num.partitions",
      "Int",
      defaultPartitions,
      "kafka.defaultPartitions"
    ),
    byDefault("default.replication.factor", "Int", 1, "There is one node."),
    ofLimit(limits, "socket.request.max.bytes", "kafkaRequestBytesMax"),
    ofLimit(limits, "fetch.max.bytes", "fetchBytesMax"),
    ofLimit(limits, "max.incremental.fetch.session.cache.slots", "kafkaFetchSessionsMax"),
    ofLimit(limits, "max.connections", "connectionsMax"),
    ofLimit(limits, "max.connections.per.ip", "connectionsPerAddressMax"),
    ofLimit(limits, "group.max.size", "groupMembersMax"),
    ofLimit(limits, "group.min.session.timeout.ms", "groupSessionTimeoutMsMin"),
    ofLimit(limits, "group.max.session.timeout.ms", "groupSessionTimeoutMsMax"),
    ofLimit(limits, "offset.metadata.max.bytes", "groupOffsetMetadataLengthMax"),
    ofLimit(limits, "offsets.retention.minutes", "groupOffsetsRetentionMs", (ms) => Math.floor(ms / minuteMs))
  ]
}
