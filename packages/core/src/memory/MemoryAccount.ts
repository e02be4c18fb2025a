/**
 * The holders of what clients make the server keep. The weights of actors' states follow from the states alone
 * (`Definition.weights`); the shell adds to `fetches`, `connections` and `transit`.
 *
 * | Holder | What is on its account |
 * |---|---|
 * | groups | members with their metadata and assignments, committed offsets with theirs |
 * | transactions | transactional ids |
 * | transactionMembers | partitions and groups of transactions that are open or ending |
 * | sessions | sessions, their subscriptions (the tries that find them included), wills, packet ids of QoS 2, the positions of groups that read streams |
 * | queues | messages that wait in sessions for their clients, records of streams that wait for a member of their group |
 * | retained | retained messages and the index of their topics |
 * | streams | streams, their filters and settings, all that a partition needs before it holds a record, its first producer |
 * | producers | what partitions remember of further idempotent producers, and leader epochs |
 * | logTransactions | open and aborted transactions that partitions and their logs remember |
 * | fetches | fetch sessions of Kafka clients: their partitions, and what was last told of each |
 * | connections | open connections with the sessions that end with them, their topic aliases and routes |
 * | transit | packets that have come in part, Kafka requests under way, messages that wait for a clean session's client, retained ones on their way to a new subscription, readers of streams and what they have read ahead, bytes that a client has not read |
 */
export const holders = [
  "groups",
  "transactions",
  "transactionMembers",
  "sessions",
  "queues",
  "retained",
  "streams",
  "producers",
  "logTransactions",
  "fetches",
  "connections",
  "transit"
] as const

export type Holder = (typeof holders)[number]

/** The shares of the whole, in percent. They add up to 100: an account that is full takes nothing from another. */
export const sharesPercent: Readonly<Record<Holder, number>> = {
  groups: 10,
  transactions: 2,
  transactionMembers: 1,
  sessions: 16,
  queues: 6,
  retained: 16,
  streams: 12,
  producers: 3,
  logTransactions: 2,
  fetches: 3,
  connections: 16,
  transit: 13
}

/** The bytes by which a holder's account may still grow, at this moment; 0 if it is full. */
export type Room = (holder: Holder) => number

/**
 * Counts the bytes that are kept for clients, by holder, beside what each holder may have. It never refuses: its caller
 * asks for `room` and refuses.
 */
export class MemoryAccount {
  readonly #bytes = new Map<Holder, number>(holders.map((holder) => [holder, 0]))
  readonly #budgets: ReadonlyMap<Holder, number>

  constructor(memoryBytesMax: number) {
    this.#budgets = new Map(
      holders.map((holder) => [holder, Math.floor((memoryBytesMax * sharesPercent[holder]) / 100)])
    )
  }

  bytes(holder: Holder): number {
    return this.#bytes.get(holder)!
  }

  budget(holder: Holder): number {
    return this.#budgets.get(holder)!
  }

  /** Negative when something is given back. */
  add(holder: Holder, bytes: number): void {
    this.#bytes.set(holder, this.#bytes.get(holder)! + bytes)
  }

  readonly room: Room = (holder) => Math.max(0, this.#budgets.get(holder)! - this.#bytes.get(holder)!)
}

/** Where nothing is refused for want of memory: tools, and tests of something else. */
export const unbounded: Room = () => Infinity

const stringHeaderBytes = 24

/** A text in V8's heap: a byte per character as long as all are ASCII, else two at most. */
export const textBytes = (text: string): number => {
  const { length } = text
  return stringHeaderBytes + (Buffer.byteLength(text) === length ? length : 2 * length)
}

const arrayBufferBytes = 192

/** Bytes of their own, with what V8 and malloc need around them. Measured: `bench/memoryWeights.ts`. */
export const ownBytes = (bytes: Uint8Array): number => arrayBufferBytes + bytes.length
