import { anonymous } from "@logbrook/core/access/Access"
import { repeatNow } from "@logbrook/core/actor/Outbox"
import { sessionActor, type PublishWill } from "@logbrook/actors/session/SessionProtocol"
import { originOf } from "../originOf.ts"
import { codeText } from "./connectionEnd.ts"
import { publicationOfWill } from "./Message.ts"
import type { MqttContext } from "./MqttContext.ts"
import { type Answered, Publisher, type Refusal } from "./Publisher.ts"

/**
 * Publishes wills whose time has come. A session keeps its will until it has decided `ConfirmWill`, which is one commit
 * with the will's message: neither a crash nor a refusal loses it, and it is not published again. If the message was refused
 * in its turn by something else than its streams, these are left out the next time (`NoteWillStored`).
 */
export class Wills {
  readonly #mqtt: MqttContext
  /** Published, the commit not durable yet; whether its session has asked again meanwhile: for the same will, or for a newer one of its number. */
  readonly #underWay = new Map<string, boolean>()

  constructor(mqtt: MqttContext) {
    this.#mqtt = mqtt
  }

  /** Publishes a will. The session asks again for one that is refused for now; one that can never be stored is dropped. */
  publish({ clientId, willId, will, isStored }: PublishWill): void {
    const { broker, directory } = this.#mqtt
    const name = `${willId} ${clientId}`
    if (this.#underWay.has(name)) {
      this.#underWay.set(name, true)
      return
    }
    const to = sessionActor(clientId)
    const answered: Answered = {
      answered: ({ refusal }) => {
        if (this.#underWay.get(name) === true) broker.shards.tell(to, repeatNow, { origin })
        this.#underWay.delete(name)
        if (refusal !== undefined) this.#name(clientId, will.topic, refusal)
      }
    }
    const origin = originOf("mqtt", clientId, " will")
    const publisher = new Publisher(this.#mqtt, anonymous, clientId, origin, answered)
    const plan = directory.subscriptions.plan(will.topic)
    const nowMs = broker.clock.nowMs()
    const publication = publicationOfWill(will, nowMs)
    const refusal = publisher.refusal(publication, plan)
    this.#underWay.set(name, false)
    const pending =
      refusal === undefined
        ? publisher.publish(publication, plan, 0, nowMs, {
            isStored: isStored === true,
            adds: (list, all, stored) => {
              list.add(to, { _tag: "ConfirmWill", willId, refused: null }, all)
              if (stored.length > 0) list.add(to, { _tag: "NoteWillStored", willId }, stored)
            }
          })
        : publisher.refuse(will.topic, 0, will.qos, refusal)
    if (!pending.hasReceivers && !will.retain) publisher.unmatched(will.topic)
    const refused = pending.refusalSoFar()
    if (refused === undefined) return
    const { text: reason, isFinal } = refused
    broker.shards.tell(to, { _tag: "ConfirmWill", willId, refused: { reason, isFinal } }, { origin })
  }

  #name(clientId: string, topic: string, { code, text }: Refusal): void {
    const reason = `will: ${text}`
    this.#mqtt.refusals.add({ clientId, address: null, code: codeText(code), reason, topic, isLogged: false })
  }
}
