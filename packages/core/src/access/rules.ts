import { serverPrincipal, type Denial, type Rule } from "./Access.ts"
import { isReservedTopic, isSystemTopic } from "./reservedTopics.ts"

const reservedTopicName: Denial = {
  reason: "ReservedTopicName",
  text: "topics under $stream, $share and $queue have no messages"
}
const systemTopicName: Denial = { reason: "SystemTopicName", text: "topics under $SYS are the server's own" }
const boundStream: Denial = { reason: "BoundStream", text: "The stream is written by MQTT." }

/** Nobody writes or reads them. */
const reserved: Rule = (_principal, _operation, resource) =>
  resource.type === "TopicName" && isReservedTopic(resource.name) ? reservedTopicName : undefined

/** They may be read. */
const system: Rule = (principal, operation, resource) => {
  if (resource.type !== "TopicName" || operation !== "Write" || !isSystemTopic(resource.name)) return undefined
  return principal === serverPrincipal ? undefined : systemTopicName
}

/** A bound stream is read-only for Kafka producers. */
const bound: Rule = (_principal, operation, resource) =>
  resource.type === "Topic" && operation === "Write" && resource.isBound ? boundStream : undefined

/** The rules that hold for everybody. */
export const rules: ReadonlyArray<Rule> = [reserved, system, bound]
