import { WireError } from "@logbrook/protocols/kafka/Wire"

const headBytes = 6
const produce = 0
const offsetCommit = 8
const joinGroup = 11
const syncGroup = 14

/** They carry what a client has to say; one whose connection broke goes on with them at once on the next. */
const mayBeLarge: ReadonlySet<number> = new Set([produce, offsetCommit, joinGroup, syncGroup])

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
    if (!mayBeLarge.has(head.getInt16(4))) {
      throw new WireError("too-large", `a first request of ${size} bytes, ${this.#bytesMax} are allowed`)
    }
    this.isLarge = true
  }
}
