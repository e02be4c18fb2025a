import type { Loan } from "@logbrook/core/BufferPool"
import { isBound, type Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { groupActor, type GroupKind } from "@logbrook/actors/group/GroupProtocol"
import { transactionActor, type TransactionKind } from "@logbrook/actors/transaction/TransactionProtocol"
import type { CommandList, ListAnswer } from "@logbrook/core/shard/CommandList"
import type { ActorId } from "@logbrook/core/actor/Definition"
import { cluster, type Operation, type Principal, type Resource } from "@logbrook/core/access/Access"
import type { Address, AnyKind, CommandOf } from "@logbrook/core/actor/Kind"
import type { Cause } from "@logbrook/core/journal/Frame"
import type { RequestHeader } from "@logbrook/protocols/kafka/Header"
import { isFailure, type FullAccess } from "./Access.ts"
import { Pending, type Later } from "./Answer.ts"
import type { Outcome } from "./Asker.ts"
import { originOf, placeOf } from "../originOf.ts"
import type { HostPort, ListedApi, RequestContext, SecurityProtocol } from "./Handler.ts"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { deniedFailure, refused, type Failure } from "./errors.ts"
import type { KafkaNode } from "./KafkaNode.ts"
import { waitFor, type LongPoll } from "./LongPoll.ts"
import type { SentBatches } from "./SentBatches.ts"

const unknownTopic = refused(KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
const unknownTopicId = refused(KafkaError.UNKNOWN_TOPIC_ID)
const noTransactionalId = refused(KafkaError.INVALID_REQUEST, "A transactional id has a character at least.")

/** All that can be done to a resource of Kafka's. */
const operations: ReadonlyArray<Operation> = [
  "Read",
  "Write",
  "Create",
  "Delete",
  "Alter",
  "Describe",
  "ClusterAction",
  "DescribeConfigs",
  "AlterConfigs",
  "IdempotentWrite"
]

/** The size of a request is in front of it. */
const prefixBytes = 4

/** A connection as its requests see it. */
export interface Exchanging {
  readonly node: KafkaNode
  readonly advertised: HostPort
  readonly securityProtocol: SecurityProtocol
  readonly listed: ReadonlyArray<ListedApi>
  /** The client's principal, for what it may do. */
  readonly principal: Principal
  readonly clientHost: string
  /** Address and port, for the journal and the log. */
  readonly peer: string
  nextFetch: number
  /** Until the client has told its software's name, it is taken for one that does not. */
  readsZstd: boolean
  readonly sentBatches: SentBatches
  /** A command was given to the shard, which takes it in any case; one that is full takes no further requests of this client for a while. */
  readonly asked: (hasRoom: boolean) => void
  /** No further request is begun until what is returned is called, so a single request holds others back at a time. */
  readonly holdBack: () => () => void
  /** A fault of the server's own: this connection ends, the others go on. */
  readonly defect: (error: unknown) => void
}

/** A request that was begun and whose response is not handed to the output. */
export class Exchange implements RequestContext, FullAccess {
  readonly #connection: Exchanging
  readonly header: RequestHeader
  /** The bytes of the request and its size prefix. */
  readonly bytes: number
  /** Undefined once what it has is kept, or the handler has returned. */
  request: Uint8Array | undefined
  readonly startedMs = performance.now()
  /** Empty: nothing is sent. Undefined: not answered yet. */
  response: ReadonlyArray<Uint8Array> | undefined
  responseBytes = 0
  loan: Loan | undefined
  /** The answer that it waits for, if it was not answered at once. */
  later: Pick<Later<unknown>, "giveUp" | "hurry"> | undefined
  hangsUp = false
  #isHeld = false
  #hasReturned = false

  constructor(connection: Exchanging, header: RequestHeader, request: Uint8Array) {
    this.#connection = connection
    this.header = header
    this.bytes = request.length + prefixBytes
    this.request = request
  }

  get node(): KafkaNode {
    return this.#connection.node
  }

  get clientId(): string {
    return this.header.clientId ?? ""
  }

  get clientHost(): string {
    return this.#connection.clientHost
  }

  get advertised(): HostPort {
    return this.#connection.advertised
  }

  get securityProtocol(): SecurityProtocol {
    return this.#connection.securityProtocol
  }

  get apiName(): string {
    return this.header.api.name
  }

  get #cause(): Cause {
    const { clientId, correlationId } = this.header
    const { peer, principal } = this.#connection
    return {
      origin: originOf("kafka", clientId ?? "-", `${placeOf(principal, peer)} ${this.apiName}#${correlationId}`)
    }
  }

  get listed(): ReadonlyArray<ListedApi> {
    return this.#connection.listed
  }

  get readsZstd(): boolean {
    return this.#connection.readsZstd
  }

  identified(softwareName: string): void {
    this.#connection.readsZstd = this.node.settings.zstdClients.has(softwareName)
  }

  nextFetch(): number {
    return this.#connection.nextFetch++
  }

  get sentBatches(): SentBatches {
    return this.#connection.sentBatches
  }

  responseRoomBytes(): number {
    return this.node.responseRoomBytes
  }

  /** The request itself when `bytes` are half of it at least, else a copy: a small batch must not hold a large request. */
  keep(bytes: Uint8Array, isOnly: boolean): Uint8Array {
    if (isOnly && 2 * bytes.length >= this.request!.length) {
      this.request = undefined
      return bytes
    }
    return this.node.copy(bytes)
  }

  /** The handler has returned: what it decoded is copied, and what it wants longer it has kept by `keep`, or all by `holdBack`. */
  handled(): void {
    this.#hasReturned = true
    this.#letGo()
  }

  #letGo(): void {
    if (!this.#hasReturned || this.#isHeld) return
    if (this.request !== undefined) this.node.requestBuffers.give(this.request)
    this.request = undefined
  }

  #denied(operation: Operation, resource: Resource): Failure | undefined {
    const denial = this.node.broker.authorizer.authorize(this.#connection.principal, operation, resource)
    return denial === undefined ? undefined : deniedFailure(resource.type, denial)
  }

  permitted(resource: Resource): ReadonlyArray<Operation> {
    return operations.filter((operation) => this.#denied(operation, resource) === undefined)
  }

  get streamsVersion(): number {
    return this.node.broker.directory.version
  }

  topic(operation: Operation, name: string): Stream | Failure {
    const stream = this.node.broker.directory.byName(name)
    // Also where there is none: what a client may not know of must not be told by what it is answered.
    const bound = stream !== undefined && isBound(stream)
    return this.#denied(operation, { type: "Topic", name, isBound: bound }) ?? stream ?? unknownTopic
  }

  deniedTopic(operation: Operation, name: string): Failure | undefined {
    const found = this.topic(operation, name)
    return isFailure(found) && found !== unknownTopic ? found : undefined
  }

  deniedCluster(operation: Operation): Failure | undefined {
    return this.#denied(operation, cluster)
  }

  topicById(operation: Operation, topicId: string): Stream | Failure {
    const stream = this.node.broker.directory.byTopicId(topicId)
    return stream === undefined ? unknownTopicId : this.topic(operation, stream.name)
  }

  topics(operation: Operation): ReadonlyArray<Stream> {
    const streams = [...this.node.broker.directory.all().values()]
    return streams.filter((stream) => this.topic(operation, stream.name) === stream)
  }

  group(operation: Operation, name: string): Address<typeof GroupKind> | Failure {
    return this.#denied(operation, { type: "Group", name }) ?? groupActor(name)
  }

  transaction(operation: Operation, name: string): Address<typeof TransactionKind> | Failure {
    return this.deniedTransaction(operation, name) ?? (name === "" ? noTransactionalId : transactionActor(name))
  }

  deniedTransaction(operation: Operation, name: string): Failure | undefined {
    return this.#denied(operation, { type: "TransactionalId", name })
  }

  askAll<T>(to: ActorId, list: CommandList, answer: (given: ListAnswer) => T, byteLength?: number): Later<T> {
    const later = new Pending<T>()
    const onAnswer = (given: ListAnswer): void => this.guarded(() => later.give(answer(given)))
    this.#connection.asked(this.node.broker.shards.of(to).askAll(list, this.#cause, onAnswer, byteLength))
    return later
  }

  ask<K extends AnyKind, const C extends CommandOf<K>, T>(
    to: Address<K>,
    command: C,
    answer: (exit: Outcome<K, C>) => T,
    byteLength?: number
  ): Later<T> {
    const later = new Pending<T>()
    const onAnswer = (exit: Outcome<K, C>): void => this.guarded(() => later.give(answer(exit)))
    this.#connection.asked(this.node.broker.shards.unsafeAsk(to, command, this.#cause, onAnswer, byteLength))
    return later
  }

  holdBack(): () => void {
    const goOn = this.#connection.holdBack()
    this.#isHeld = true
    return () => {
      this.#isHeld = false
      this.#letGo()
      goOn()
    }
  }

  waitFor<T>(poll: LongPoll<T>): Later<T> {
    return waitFor(this.node.broker.clock, (task) => this.guarded(task), poll)
  }

  /** It waits for what may never come. */
  get isWaiting(): boolean {
    return this.later?.giveUp !== undefined
  }

  guarded(task: () => void): void {
    try {
      task()
    } catch (error) {
      this.#connection.defect(error)
    }
  }
}
