import type { ClassicContext } from "./classicContext.ts"

/** The protocol type of Kafka consumers; Connect and others have their own. */
export const consumerProtocolType = "consumer"

/** The topics of a subscription of Kafka's consumer protocol: version i16, topics, and more; undefined for other bytes. */
const topicsOf = (metadata: Uint8Array): ReadonlyArray<string> | undefined => {
  const view = Buffer.from(metadata.buffer, metadata.byteOffset, metadata.length)
  if (view.length < 6) return undefined
  const count = view.readInt32BE(2)
  if (count < 0) return undefined
  const topics: Array<string> = []
  let at = 6
  for (let i = 0; i < count; i++) {
    if (at + 2 > view.length) return undefined
    const end = at + 2 + view.readUInt16BE(at)
    if (end > view.length) return undefined
    topics.push(view.toString("utf8", at + 2, end))
    at = end
  }
  return topics
}

/**
 * The topics that the members subscribe to by the protocol that they have chosen. Undefined: not known, since they
 * are no consumers, have not chosen yet, or tell it in bytes of their own, as kafkajs' plugins may.
 */
export const subscribedTopics = ({
  members,
  protocolType,
  protocolName
}: ClassicContext): ReadonlySet<string> | undefined => {
  const subscribed = new Set<string>()
  if (members.size === 0) return subscribed
  if (protocolType !== consumerProtocolType || protocolName === null) return undefined
  for (const { protocols } of members.values()) {
    const chosen = protocols.find(({ name }) => name === protocolName)
    const topics = chosen && topicsOf(chosen.metadata)
    if (topics === undefined) return undefined
    for (const topic of topics) subscribed.add(topic)
  }
  return subscribed
}
