import type { MessageRef } from "@logbrook/actors/session/SessionProtocol"
import type { Admission } from "../../net/ConnectionGate.ts"
import type { OutgoingMessage } from "../Message.ts"
import { keyOfDelivery } from "./streamDelivery.ts"

/** The memory of a message, without its bytes. */
const messageBytes = 500

/** Messages whose references are on their way into a session's queue, or in it: each is read once, and on the account until it is taken. */
export class ReadyMessages {
  readonly #admission: Pick<Admission, "add">
  readonly #messages = new Map<string, OutgoingMessage>()
  /** On the account. */
  #bytes = 0

  constructor(admission: Pick<Admission, "add">) {
    this.#admission = admission
  }

  /** Two subscriptions may have the same record: it is there once. */
  put(ref: MessageRef, message: OutgoingMessage): void {
    this.take(ref)
    this.#messages.set(keyOfDelivery(ref), message)
    this.#keep(bytesOf(message))
  }

  /** The message of a reference, once. */
  take(ref: MessageRef): OutgoingMessage | undefined {
    const key = keyOfDelivery(ref)
    const message = this.#messages.get(key)
    if (message === undefined) return undefined
    this.#messages.delete(key)
    this.#keep(-bytesOf(message))
    return message
  }

  clear(): void {
    this.#messages.clear()
    this.#keep(-this.#bytes)
  }

  #keep(bytes: number): void {
    this.#admission.add("transit", bytes)
    this.#bytes += bytes
  }
}

const bytesOf = (message: OutgoingMessage): number => messageBytes + message.byteLength
