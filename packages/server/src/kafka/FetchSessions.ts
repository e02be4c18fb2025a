import { randomBytes } from "node:crypto"
import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"
import type { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"
import { FetchSession, nextEpoch, type AskedPartitions, type ForgottenPartitions } from "./FetchSession.ts"

/** The part of a Fetch that is about its session. */
export interface SessionRequest {
  /** 0: none. */
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly topics: ReadonlyArray<AskedPartitions>
  readonly forgottenTopicsData: ReadonlyArray<ForgottenPartitions>
}

/** The partitions that a Fetch reads, and which of them are answered. */
export type Opened =
  | { readonly _tag: "Refused"; readonly errorCode: KafkaErrorCode }
  /** The partitions that it names, all of which are answered; a session of them may be made. */
  | { readonly _tag: "Full"; readonly mayCreate: boolean }
  /** The session's partitions, if its epoch is still this one when they are answered. */
  | { readonly _tag: "Incremental"; readonly session: FetchSession; readonly epoch: number }

const opening = 0
const closing = -1

const creating: Opened = { _tag: "Full", mayCreate: true }
const sessionless: Opened = { _tag: "Full", mayCreate: false }
const refused = (errorCode: KafkaErrorCode): Opened => ({ _tag: "Refused", errorCode })

/** A session that was not used for so long gives way to any other; a younger one to none (Kafka's own time). */
export const evictionMs = 120_000

/**
 * The fetch sessions of all clients (KIP-227). They are of no connection: whoever knows a session's id and epoch goes on with it, and what
 * may be read is asked anew with each fetch. As in Kafka a full cache keeps the larger sessions.
 *
 * | Request: id, epoch | Becomes |
 * |---|---|
 * | any, 0 | a session with this id ends; full, and a new session if there is room |
 * | any, -1 | a session with this id ends; full |
 * | one that is not there, others | FETCH_SESSION_ID_NOT_FOUND |
 * | a session's, not its epoch | INVALID_FETCH_SESSION_EPOCH |
 * | a session's, its epoch | incremental; the session ends when it has no partitions any more |
 */
export class FetchSessions {
  readonly #sessionsMax: number
  readonly #clock: Pick<Clock, "monotonicMs">
  readonly #memory: Pick<MemoryAccount, "add" | "budget" | "room">
  readonly #evicted: { readonly add: (n: number) => void }
  /** By id, the one that was not used for the longest first. */
  readonly #byId = new Map<number, FetchSession>()
  /** The sum over all sessions. */
  partitions = 0

  /** `evicted` counts the sessions that give way. */
  constructor(
    { kafkaFetchSessionsMax }: Pick<Limits, "kafkaFetchSessionsMax">,
    clock: Pick<Clock, "monotonicMs">,
    memory: Pick<MemoryAccount, "add" | "budget" | "room">,
    evicted: { readonly add: (n: number) => void }
  ) {
    this.#sessionsMax = kafkaFetchSessionsMax
    this.#clock = clock
    this.#memory = memory
    this.#evicted = evicted
  }

  get all(): Iterable<FetchSession> {
    return this.#byId.values()
  }

  get size(): number {
    return this.#byId.size
  }

  /** `usesTopicIds`: the request names topics by id. */
  open(request: SessionRequest, usesTopicIds: boolean): Opened {
    const { sessionId, sessionEpoch } = request
    const session = this.#byId.get(sessionId)
    if (sessionEpoch === opening || sessionEpoch === closing) {
      if (session !== undefined) this.#remove(session)
      return sessionEpoch === opening ? creating : sessionless
    }
    if (session === undefined) return refused(KafkaError.FETCH_SESSION_ID_NOT_FOUND)
    if (session.epoch !== sessionEpoch) return refused(KafkaError.INVALID_FETCH_SESSION_EPOCH)
    if (session.usesTopicIds !== usesTopicIds) return refused(KafkaError.FETCH_SESSION_TOPIC_ID_ERROR)
    return this.#goOn(session, request)
  }

  #goOn(session: FetchSession, { topics, forgottenTopicsData }: SessionRequest): Opened {
    const { size, weightBytes } = session
    session.update(topics, forgottenTopicsData)
    // Whatever becomes of it: a fetch of it that still waits is told of other partitions than it has now.
    session.epoch = nextEpoch(session.epoch)
    const growthBytes = session.weightBytes - weightBytes
    this.partitions += session.size - size
    this.#memory.add("fetches", growthBytes)
    // As if it had given way to another: the client asks for all, and is told whether there is room for a session.
    if (growthBytes > 0 && this.#memory.room("fetches") === 0) {
      this.#evict(session)
      return refused(KafkaError.FETCH_SESSION_ID_NOT_FOUND)
    }
    if (session.size === 0) {
      this.#remove(session)
      return sessionless
    }
    session.lastUsedMs = this.#clock.monotonicMs()
    this.#byId.delete(session.id)
    this.#byId.set(session.id, session)
    return { _tag: "Incremental", session, epoch: session.epoch }
  }

  /** Undefined: there is no room. Nothing was told of its partitions yet. */
  create(topics: ReadonlyArray<AskedPartitions>, usesTopicIds: boolean): FetchSession | undefined {
    const nowMs = this.#clock.monotonicMs()
    const session = new FetchSession(this.#newId(), usesTopicIds, nowMs)
    session.update(topics, [])
    if (session.weightBytes > this.#memory.budget("fetches")) return undefined
    while (!this.#hasRoom(session)) {
      const other = this.#yieldsTo(session, nowMs)
      if (other === undefined) return undefined
      this.#evict(other)
    }
    this.#byId.set(session.id, session)
    this.partitions += session.size
    this.#memory.add("fetches", session.weightBytes)
    return session
  }

  #hasRoom({ weightBytes }: FetchSession): boolean {
    return this.#byId.size < this.#sessionsMax && weightBytes <= this.#memory.room("fetches")
  }

  /** The session that gives way: one that nobody uses any more, else the smallest of the old ones that is smaller. */
  #yieldsTo({ size }: FetchSession, nowMs: number): FetchSession | undefined {
    let smallest: FetchSession | undefined
    for (const session of this.#byId.values()) {
      if (nowMs - session.lastUsedMs > evictionMs) return session
      const isOld = session.lastUsedMs - session.createdMs > evictionMs
      if (isOld && session.size < (smallest?.size ?? size)) smallest = session
    }
    return smallest
  }

  #evict(session: FetchSession): void {
    this.#evicted.add(1)
    this.#remove(session)
  }

  #remove(session: FetchSession): void {
    this.#byId.delete(session.id)
    this.partitions -= session.size
    this.#memory.add("fetches", -session.weightBytes)
  }

  /** An id by chance, which cannot be guessed from another one. */
  #newId(): number {
    for (;;) {
      const id = randomBytes(4).readUInt32BE() >>> 1
      if (id !== 0 && !this.#byId.has(id)) return id
    }
  }
}
