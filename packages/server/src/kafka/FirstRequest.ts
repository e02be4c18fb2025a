import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import { WireError } from "@logbrook/protocols/kafka/Wire"
import { foreignProtocol } from "../net/foreignProtocol.ts"

const headBytes = 6

/** They carry what a client has to say; one whose connection broke goes on with them at once on the next. */
const mayBeLarge: ReadonlySet<number> = new Set([Produce, OffsetCommit, JoinGroup, SyncGroup].map(({ key }) => key))

/**
 * A connection's first request, by its size and API key: while there is no authentication, it is what tells a client
 * from anybody else. Over the limit it must be one that clients do begin with.
 */
export class FirstRequest {
  readonly #bytesMax: number
  readonly #head = new Uint8Array(headBytes)
  #have = 0
  /** It is over the limit and may be: it takes its time. */
  isLarge = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** The next bytes of the connection. Throws `WireError` `too-large`. */
  push(chunk: Uint8Array): void {
    if (this.#have === headBytes) return
    for (let at = 0; at < chunk.length && this.#have < headBytes; at++) this.#head[this.#have++] = chunk[at]!
    if (this.#have < headBytes) return
    const head = new DataView(this.#head.buffer)
    const size = head.getInt32(0)
    if (size <= this.#bytesMax) return
    const foreign = foreignProtocol(this.#head)
    if (foreign !== undefined) throw new WireError("foreign", `${foreign} came where Kafka's protocol is spoken`)
    if (!mayBeLarge.has(head.getInt16(4))) {
      throw new WireError("too-large", `a first request of ${size} bytes, ${this.#bytesMax} are allowed`)
    }
    this.isLarge = true
  }
}
