import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"

/** What a client was last told of a partition. */
export interface Told {
  readonly errorCode: number
  readonly highWatermark: number
  readonly logStartOffset: number
}

export interface SessionRequest<Key> {
  readonly sessionId: number
  readonly sessionEpoch: number
  /** Those of which something else is asked than before; all, if the session's epoch is 0. */
  readonly asked: ReadonlyArray<readonly [Key, fetchOffset: number]>
  readonly forgotten: ReadonlyArray<Key>
}

export interface SessionAnswer<Key, Answered extends Told> {
  readonly errorCode: number
  readonly sessionId: number
  readonly partitions: ReadonlyArray<Answered & { readonly partition: Key }>
}

const epochMax = 0x7fff_ffff

/** The client's side of fetch sessions, as the Java client's `FetchSessionHandler` has it. Throws where that one complains. */
export class FetchSessionHandler<Key extends string | number = number> {
  #id = 0
  #epoch = 0
  /** The session's partitions, and the offsets that were asked for. */
  #session = new Map<Key, number>()
  /** What is known of the session's partitions. */
  readonly told = new Map<Key, Told>()

  get isIncremental(): boolean {
    return this.#epoch > 0
  }

  /** What to send, to go on from these positions. */
  request(positions: ReadonlyMap<Key, number>): SessionRequest<Key> {
    const [sessionId, sessionEpoch] = [this.#id, this.#epoch]
    const isFull = sessionEpoch === 0
    const asked = [...positions].filter(([key, offset]) => isFull || this.#session.get(key) !== offset)
    const forgotten = isFull ? [] : [...this.#session.keys()].filter((key) => !positions.has(key))
    this.#session = new Map(positions)
    for (const key of isFull ? [...this.told.keys()] : forgotten) this.told.delete(key)
    return { sessionId, sessionEpoch, asked, forgotten }
  }

  /** No answer came: whatever the server has of the session is to be closed. */
  lost(): void {
    this.#epoch = 0
  }

  answered<Answered extends Told>({ errorCode, sessionId, partitions }: SessionAnswer<Key, Answered>): void {
    if (errorCode !== KafkaError.NONE) {
      if (errorCode === KafkaError.FETCH_SESSION_ID_NOT_FOUND) this.#id = 0
      return this.lost()
    }
    for (const { partition, errorCode: code, highWatermark, logStartOffset } of partitions) {
      if (!this.#session.has(partition)) throw new Error(`${partition} is answered, and not in the session`)
      this.told.set(partition, { errorCode: code, highWatermark, logStartOffset })
    }
    const isFull = this.#epoch === 0
    const omitted = isFull ? [...this.#session.keys()].find((key) => !this.told.has(key)) : undefined
    if (omitted !== undefined) throw new Error(`${omitted} is left out of a full answer`)
    if (!isFull && sessionId !== 0 && sessionId !== this.#id) throw new Error(`session ${this.#id} became ${sessionId}`)
    this.#id = sessionId
    if (sessionId === 0) this.#epoch = 0
    else this.#epoch = this.#epoch === epochMax ? 1 : this.#epoch + 1
  }
}
