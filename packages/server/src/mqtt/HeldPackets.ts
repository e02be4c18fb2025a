import { MqttError } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Admission } from "../net/ConnectionGate.ts"

/** The memory of a packet that is held, without its bytes. */
const packetBytes = 150

/** Packets that were read and are not taken yet, on the connection's account: the rest of a chunk, no more. */
export class HeldPackets {
  readonly #admission: Admission
  readonly #packets: Array<Uint8Array> = []
  #bytes = 0

  constructor(admission: Admission) {
    this.#admission = admission
  }

  /** Keeps a copy, and is what holds it. Throws `MqttError` 0x97 if there is no memory for it: then nothing is held that was not before. */
  with(packet: Uint8Array): this {
    const bytes = packet.length + packetBytes
    if (!this.#admission.hasRoom("transit", bytes)) {
      throw new MqttError(ReasonCode.QuotaExceeded, "there is no memory for packets that wait")
    }
    this.#admission.add("transit", bytes)
    this.#bytes += bytes
    this.#packets.push(new Uint8Array(packet))
    return this
  }

  /** Nothing is held any more: whoever takes the packets does so now. */
  release(): ReadonlyArray<Uint8Array> {
    this.#admission.add("transit", -this.#bytes)
    this.#bytes = 0
    return this.#packets
  }
}
