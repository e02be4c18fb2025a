import type { Will } from "@logbrook/actors/session/SessionProtocol"
import type { RetainedMessage } from "@logbrook/actors/retained/Retained"
import type { DeliveryProperties } from "@logbrook/protocols/mqtt/encodePublish"
import type { Publish, ProtocolVersion, QoS } from "@logbrook/protocols/mqtt/Packet"
import { encodePublishHead, publishTemplate } from "@logbrook/protocols/mqtt/encodePublish"
import { mountedTopic, unmountedTopic } from "./MountPoint.ts"
import type { Publication } from "../streams/PublishRoutes.ts"

export const secondMs = 1000

/** A template is a copy of the payload; above this the payload is shared instead, as a buffer of its own. */
const templatePayloadBytesMax = 2048

const noProperties: NonNullable<Publish["properties"]> = Object.freeze({})

/** The payload and the correlation data stay views into the packet. `mountPoint`: the topic has it already. */
export const publicationOf = (packet: Publish, topic: string, nowMs: number, mountPoint: string): Publication => {
  const properties = packet.properties ?? noProperties
  const expirySeconds = properties.messageExpiryIntervalSeconds
  return {
    topic,
    payload: packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    userProperties: properties.userProperties,
    contentType: properties.contentType,
    responseTopic: properties.responseTopic && mountedTopic(mountPoint, properties.responseTopic),
    correlationData: properties.correlationData,
    payloadFormat: properties.payloadFormatIndicator,
    expiryAtMs: expirySeconds === undefined ? undefined : nowMs + expirySeconds * secondMs
  }
}

export const publicationOfWill = (will: Will, nowMs: number): Publication => ({
  topic: will.topic,
  payload: will.payload,
  qos: will.qos,
  retain: will.retain,
  userProperties: will.userProperties,
  contentType: will.contentType ?? undefined,
  responseTopic: will.responseTopic ?? undefined,
  correlationData: will.correlationData ?? undefined,
  payloadFormat: will.payloadFormat ?? undefined,
  expiryAtMs: will.expiryMs === null ? undefined : nowMs + will.expiryMs
})

export const publicationOfRetained = (topic: string, message: RetainedMessage): Publication => ({
  topic,
  payload: message.payload,
  qos: message.qos,
  retain: true,
  userProperties: message.userProperties,
  contentType: message.contentType ?? undefined,
  responseTopic: message.responseTopic ?? undefined,
  correlationData: message.correlationData ?? undefined,
  payloadFormat: message.payloadFormat ?? undefined,
  expiryAtMs: message.expiryAtMs ?? undefined
})

/** With bytes of its own. */
export const retainedOf = (publication: Publication, clientId: string, nowMs: number): RetainedMessage => ({
  payload: new Uint8Array(publication.payload),
  qos: publication.qos as QoS,
  userProperties: publication.userProperties ?? [],
  contentType: publication.contentType ?? null,
  responseTopic: publication.responseTopic ?? null,
  correlationData: publication.correlationData ? new Uint8Array(publication.correlationData) : null,
  payloadFormat: publication.payloadFormat === undefined ? null : publication.payloadFormat === 1 ? 1 : 0,
  expiryAtMs: publication.expiryAtMs ?? null,
  clientId,
  timestampMs: nowMs
})

/** [MQTT-3.3.2-6] What was sent before it expired is sent again all the same [MQTT-4.4.0-1]. */
const secondsLeft = (expiryAtMs: number, nowMs: number): number =>
  Math.max(0, Math.ceil((expiryAtMs - nowMs) / secondMs))

const deliveryProperties = (
  message: Publication,
  subscriptionIds: ReadonlyArray<number>,
  nowMs: number,
  form: TopicForm
): DeliveryProperties | undefined => {
  const { userProperties, contentType, responseTopic, correlationData, payloadFormat, expiryAtMs } = message
  const properties: DeliveryProperties = {
    ...(form !== TopicForm.Topic && { topicAlias: 0 }),
    ...(userProperties !== undefined && userProperties.length > 0 && { userProperties }),
    ...(contentType !== undefined && { contentType }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData }),
    ...(payloadFormat !== undefined && { payloadFormatIndicator: payloadFormat === 1 ? 1 : 0 }),
    ...(expiryAtMs !== undefined && { messageExpiryIntervalSeconds: secondsLeft(expiryAtMs, nowMs) }),
    ...(subscriptionIds.length > 0 && { subscriptionIdentifiers: subscriptionIds })
  }
  return Object.keys(properties).length === 0 ? undefined : properties
}

/** How a message's topic goes to a client of MQTT 5, as a column of what `OutgoingMessage` has encoded. */
export const TopicForm = {
  Topic: 0,
  /** With the alias that stands for it from then on. */
  TopicAndAlias: 1,
  Alias: 2
} as const

export type TopicForm = (typeof TopicForm)[keyof typeof TopicForm]

/** An encoded PUBLISH with packet id 0, and topic alias 0 if it has one. */
export interface Encoded {
  readonly head: Uint8Array
  /** The payload that follows the head; undefined if the head holds everything. */
  readonly payload: Uint8Array | undefined
  readonly byteLength: number
}

/** A message on its way to any number of clients: it is encoded once per version, QoS, retain flag and form of its topic. */
export class OutgoingMessage {
  readonly publication: Publication
  #encoded: Array<Encoded | undefined> | undefined
  #encodedAtMs = 0
  /** As the clients below a mount point have it: mostly they are all below one. */
  #below: { readonly mountPoint: string; readonly message: OutgoingMessage | undefined } | undefined

  /** The publication's bytes must not change from now on. */
  constructor(publication: Publication) {
    this.publication = publication
  }

  /** With bytes of its own. */
  static copyOf(publication: Publication): OutgoingMessage {
    const { payload, correlationData } = publication
    return new OutgoingMessage({
      ...publication,
      payload: new Uint8Array(payload),
      correlationData: correlationData && new Uint8Array(correlationData)
    })
  }

  /** The bytes that it counts for a queue's limit. */
  get byteLength(): number {
    return this.publication.payload.length + this.publication.topic.length
  }

  /**
   * The message as the clients below a mount point have it; undefined: it is not below it, and not theirs. A Response Topic that they
   * could not reach is left out.
   */
  below(mountPoint: string): OutgoingMessage | undefined {
    if (mountPoint === "") return this
    if (this.#below?.mountPoint !== mountPoint) this.#below = { mountPoint, message: this.#madeBelow(mountPoint) }
    return this.#below.message
  }

  #madeBelow(mountPoint: string): OutgoingMessage | undefined {
    const topic = unmountedTopic(mountPoint, this.publication.topic)
    if (topic === undefined) return undefined
    const { responseTopic } = this.publication
    return new OutgoingMessage({
      ...this.publication,
      topic,
      responseTopic: responseTopic && unmountedTopic(mountPoint, responseTopic)
    })
  }

  isExpired(nowMs: number): boolean {
    const { expiryAtMs } = this.publication
    return expiryAtMs !== undefined && expiryAtMs <= nowMs
  }

  encode(
    version: ProtocolVersion,
    qos: QoS,
    retain: boolean,
    subscriptionIds: ReadonlyArray<number>,
    nowMs: number,
    form: TopicForm = TopicForm.Topic
  ): Encoded {
    if (version === 5 && subscriptionIds.length > 0) {
      return this.#encode(version, qos, retain, subscriptionIds, nowMs, form)
    }
    const changes = this.publication.expiryAtMs !== undefined && nowMs - this.#encodedAtMs >= secondMs
    if (this.#encoded === undefined || changes) {
      this.#encoded = []
      this.#encodedAtMs = nowMs
    }
    const at = (version === 5 ? 6 + 6 * form : 0) + qos * 2 + (retain ? 1 : 0)
    return (this.#encoded[at] ??= this.#encode(version, qos, retain, subscriptionIds, nowMs, form))
  }

  #encode(
    version: ProtocolVersion,
    qos: QoS,
    retain: boolean,
    subscriptionIds: ReadonlyArray<number>,
    nowMs: number,
    form: TopicForm
  ): Encoded {
    const { payload } = this.publication
    const topic = form === TopicForm.Alias ? "" : this.publication.topic
    const properties = version === 5 ? deliveryProperties(this.publication, subscriptionIds, nowMs, form) : undefined
    const delivery = { topic, payload, qos, retain, ...(properties && { properties }) }
    if (payload.length <= templatePayloadBytesMax) {
      const head = publishTemplate(version, delivery)
      return { head, payload: undefined, byteLength: head.length }
    }
    const head = encodePublishHead(version, delivery)
    return { head, payload, byteLength: head.length + payload.length }
  }
}
