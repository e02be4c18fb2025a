import type { RetainedMessage } from "@logbrook/actors/retained/Retained"
import type { RetainedTopic } from "@logbrook/actors/retained/RetainedIndex"
import { serverPrincipal } from "@logbrook/core/access/Access"
import { matches } from "@logbrook/core/TopicFilter"
import { noProperties } from "../streams/PublishRoutes.ts"
import type { MqttContext } from "./MqttContext.ts"
import { Publisher } from "./Publisher.ts"
import type { OwnMessages } from "./RetainedStore.ts"
import { type SysCounts, sysTopics, SysValues } from "./sysValues.ts"

const secondMs = 1000
/** The client id of the records in streams that are bound to topics under $SYS. */
const publisherId = "$SYS"
/** Below the numbers of all that is retained, however often values change. */
const firstSeq = -(2 ** 52)

/** A topic with the value that was published last. */
interface Told extends RetainedTopic {
  readonly text: string
  readonly message: RetainedMessage
}

/**
 * Publishes the server's own figures under $SYS. Nothing is read or kept for that while nobody subscribes to them and no stream
 * is bound to them. They are of QoS 0: no session queues them. The last of each stands for a retained message.
 */
export class SysTopics implements OwnMessages {
  readonly #mqtt: MqttContext
  readonly #read: () => SysCounts
  readonly #intervalMs: number
  readonly #values = new SysValues()
  readonly #told = new Map<string, Told>()
  #publisher: Publisher | undefined
  #readMs = -Infinity
  #seq = firstSeq
  #cancel: (() => void) | undefined

  constructor(mqtt: MqttContext, sysIntervalS: number, read: () => SysCounts) {
    this.#mqtt = mqtt
    this.#intervalMs = sysIntervalS * secondMs
    this.#read = read
  }

  get #isOff(): boolean {
    return this.#intervalMs === 0
  }

  start(): void {
    if (this.#isOff) return
    this.#cancel = this.#mqtt.broker.clock.after(this.#intervalMs, () => {
      this.#publish()
      this.start()
    })
  }

  stop(): void {
    this.#cancel?.()
  }

  // --- As retained messages ---

  matching(filter: string): ReadonlyArray<RetainedTopic> {
    if (this.#isOff || !filter.startsWith("$SYS/")) return []
    const isOld = this.#mqtt.broker.clock.monotonicMs() - this.#readMs >= this.#intervalMs
    if (isOld) this.#refresh()
    return Array.from(this.#told.values()).filter(({ topic }) => matches(filter, topic))
  }

  get(topic: string): RetainedMessage | undefined {
    return this.#told.get(topic)?.message
  }

  seqOf(topic: string): number | undefined {
    return this.#told.get(topic)?.seq
  }

  // --- As publications ---

  #publish(): void {
    const { directory, broker } = this.#mqtt
    const { subscriptions } = directory
    const wanted = new Set(
      sysTopics.filter((topic) => !subscriptions.plan(topic).isEmpty || broker.directory.boundTo(topic).length > 0)
    )
    if (wanted.size === 0) return
    for (const changed of this.#refresh()) if (wanted.has(changed.topic)) this.#publishOne(changed)
  }

  #publishOne({ topic, message }: Told): void {
    const { directory, broker, metrics } = this.#mqtt
    const publisher = (this.#publisher ??= this.#makePublisher())
    const plan = directory.subscriptions.plan(topic)
    const publication = { ...noProperties, topic, payload: message.payload, qos: 0, retain: false }
    const refusal = publisher.refusal(publication, plan)
    if (refusal !== undefined) metrics.dropped(refusal.drop)
    else publisher.publish(publication, plan, 0, broker.clock.nowMs())
  }

  #makePublisher(): Publisher {
    const nobodyWaits = { answered: () => undefined }
    return new Publisher(this.#mqtt, serverPrincipal, publisherId, "mqtt $SYS", nobodyWaits)
  }

  /** Reads the figures anew. Returns what has changed. */
  #refresh(): ReadonlyArray<Told> {
    const { clock } = this.#mqtt.broker
    this.#readMs = clock.monotonicMs()
    const timestampMs = clock.nowMs()
    const values = this.#values.read(this.#read())
    return sysTopics.flatMap((topic, at) => {
      const text = values[at]!
      if (this.#told.get(topic)?.text === text) return []
      const told = { topic, seq: this.#seq++, text, message: messageOf(text, timestampMs) }
      this.#told.set(topic, told)
      return [told]
    })
  }
}

const messageOf = (text: string, timestampMs: number): RetainedMessage => ({
  payload: Buffer.from(text),
  qos: 0,
  userProperties: [],
  contentType: null,
  responseTopic: null,
  correlationData: null,
  payloadFormat: null,
  expiryAtMs: null,
  clientId: publisherId,
  timestampMs
})
