import type { Plan, SharerPlan } from "../Plan.ts"
import type { MqttLedger, Publication } from "./MqttLedger.ts"

/**
 * What those who share a subscription have got between them. One of them has a session that never ends, so the group is there
 * from its first SUBACK on.
 */
export class SharedLedger {
  readonly #mqtt: MqttLedger
  readonly #violated: (message: string) => never
  /** By message: who has got it, and with which QoS first. */
  readonly #receivers = new Map<string, Map<string, number>>()
  readonly #acknowledged = new Set<string>()
  #beganMs = Infinity
  #epoch = 0
  /** No later than the server's present life. */
  #livesSinceMs = 0

  constructor(mqtt: MqttLedger, violated: (message: string) => never) {
    this.#mqtt = mqtt
    this.#violated = violated
  }

  began(nowMs: number): void {
    this.#beganMs = Math.min(this.#beganMs, nowMs)
  }

  /** A member is connected to the server of this epoch. */
  connected(epoch: number, nowMs: number): void {
    if (epoch > this.#epoch) this.#livesSinceMs = nowMs
    this.#epoch = epoch
  }

  got(client: string, { id, mayRepeat, qos: sentQos }: Publication, qos: number): void {
    const receivers = this.#receivers.get(id) ?? new Map<string, number>()
    this.#receivers.set(id, receivers)
    if (!receivers.has(client)) receivers.set(client, qos)
    if (sentQos !== 2 || mayRepeat || this.#mqtt.isPartlyRefused) return
    // [MQTT-4.8.2-5]
    const exactly = [...receivers].filter(([, qos]) => qos === 2).map(([name]) => name)
    if (exactly.length > 1) this.#violated(`${id} of QoS 2 goes to ${exactly.join(" and ")}, who share a subscription`)
  }

  /** One of them has sent PUBACK or PUBREC. */
  acknowledged(id: string): void {
    this.#acknowledged.add(id)
  }

  /** A message that was acknowledged to its sender, and by none of those who share it. */
  missing({ clients, limits }: Plan): string | undefined {
    const sharers = clients.filter((client): client is SharerPlan => client.kind === "sharer")
    if (limits.offlineQueueMessagesMax !== undefined || this.#mqtt.isPartlyRefused) return undefined
    // A session that ends with its connection is lost with the server's process, and so is all that it had.
    const hasClean = sharers.some(({ session }) => session === "none")
    const sinceMs = hasClean ? Math.max(this.#beganMs, this.#livesSinceMs) : this.#beganMs
    const isOnce = sharers.some(({ qos }) => qos === 2)
    for (const { id, topic, qos, sentMs, isAcknowledged, mayRepeat } of this.#mqtt.publications.values()) {
      if (!topic.startsWith("s/") || !isAcknowledged || mayRepeat || sentMs <= sinceMs) continue
      // What was sent to one whose session has ended goes to nobody.
      if (qos === 0 || (qos === 2 && isOnce)) continue
      if (!this.#acknowledged.has(id)) return `nobody of those who share a subscription has acknowledged ${id}`
    }
    return undefined
  }
}
