import { isUtf8 } from "node:buffer"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { type QoS, sessionActor, type SessionKind } from "@logbrook/actors/session/SessionProtocol"
import { retainedActor, type RetainedMessage, RetainedRefused } from "@logbrook/actors/retained/Retained"
import { partitionActor } from "@logbrook/actors/partition/Partition"
import type { Address } from "@logbrook/core/actor/Kind"
import type { DenialReason, Principal } from "@logbrook/core/access/Access"
import type { Authorizer } from "@logbrook/core/access/Authorizer"
import type { CommandList, EntryIndex, ListAnswer, RecordPlace, RecordRefusal } from "@logbrook/core/shard/CommandList"
import type { ShardLists } from "@logbrook/core/shard/Shards"
import type { AckReceiver, PartitionBatch } from "@logbrook/core/shard/Intake"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Admission } from "../net/ConnectionGate.ts"
import type { Placed, Publication } from "../streams/PublishRoutes.ts"
import { PublishRoutes } from "../streams/PublishRoutes.ts"
import { OutgoingMessage, retainedOf } from "./Message.ts"
import { isOutside, outsideText } from "./MountPoint.ts"
import type { MqttContext, ReceivingSession } from "./MqttContext.ts"
import type { DropReason } from "./mqttMetrics.ts"
import type { Match, Plan } from "./Subscriptions.ts"
import { addEnqueue } from "./SessionLog.ts"

/** Why a publication is not taken, as PUBACK and PUBREC say it. */
export interface Refusal {
  readonly code: number
  readonly text: string
  readonly drop: DropReason
  /** It would be refused again at any time. */
  readonly isFinal: boolean
  /** MQTT 3.1.1, whose acknowledgements cannot say no: taken and dropped, where others close the connection. */
  readonly isDroppedBy311?: true
}

const reservedTopic: Refusal = {
  code: ReasonCode.NotAuthorized,
  text: "nobody publishes to topics under $stream, $share and $queue",
  drop: "not_authorized",
  isFinal: true
}
/** Mosquitto does the same: clients that write there (bridges, tools) live on. */
const systemTopic: Refusal = {
  code: ReasonCode.NotAuthorized,
  text: "topics under $SYS are the server's own",
  drop: "not_authorized",
  isFinal: true,
  isDroppedBy311: true
}
const outsideMount: Refusal = { ...systemTopic, text: outsideText }
const notUtf8: Refusal = {
  code: ReasonCode.PayloadFormatInvalid,
  text: "the payload is not the UTF-8 that it is announced as",
  drop: "payload_format",
  isFinal: true
}
const diskLow: Refusal = {
  code: ReasonCode.QuotaExceeded,
  text: "the disk is almost full",
  drop: "disk_low",
  isFinal: false
}
const retainedFull: Refusal = {
  code: ReasonCode.QuotaExceeded,
  text: "no more messages can be retained",
  drop: "retained_full",
  isFinal: false
}
export const withoutMemory: Refusal = {
  code: ReasonCode.QuotaExceeded,
  text: "there is no memory for more packet ids of QoS 2",
  drop: "no_memory",
  isFinal: false
}
const tooLarge: Refusal = {
  code: ReasonCode.QuotaExceeded,
  text: "the message is larger than a stream of its topic may hold (max.message.bytes)",
  drop: "too_large",
  isFinal: true
}
const withoutKey: Refusal = {
  code: ReasonCode.ImplementationSpecificError,
  text: "a compacted stream takes no message without a key",
  drop: "without_key",
  isFinal: true
}
const unavailable: Refusal = {
  code: ReasonCode.UnspecifiedError,
  text: "the message could not be stored",
  drop: "unavailable",
  isFinal: false
}

const denials: Readonly<Record<DenialReason, Refusal>> = {
  ReservedTopicName: reservedTopic,
  SystemTopicName: systemTopic,
  BoundStream: reservedTopic
}

/** Why a client, below a mount point or not, may not publish to a topic, if that is so. */
export const deniedPublish = (
  authorizer: Authorizer,
  principal: Principal,
  topic: string,
  mountPoint: string
): Refusal | undefined => {
  const denial = authorizer.authorize(principal, "Write", { type: "TopicName", name: topic })
  if (denial !== undefined) return denials[denial.reason]
  return isOutside(mountPoint, topic) ? outsideMount : undefined
}

const refusalOf = (refusal: RecordRefusal): Refusal => (refusal === "MessageTooLarge" ? tooLarge : unavailable)

const failureOf = (cause: Cause.Cause<unknown>): Refusal => {
  const failure = Cause.squash(cause)
  if (failure instanceof RetainedRefused) return retainedFull
  return failure === "MessageTooLarge" ? tooLarge : unavailable
}

/** Why a record is not in its log; undefined if it is there. */
export const batchRefusal = (batch: PartitionBatch | undefined): Refusal | undefined =>
  batch === undefined || batch.refusal === undefined ? undefined : refusalOf(batch.refusal)

/** Told once what became of a publication, in the order in which they were made. */
export interface Answered {
  readonly answered: (publication: PendingPublication) => void
}

/** A publication that waits for its turn to be durable; only then is it delivered and answered. */
export class PendingPublication implements AckReceiver {
  readonly #publisher: Publisher
  readonly packetId: number
  readonly qos: number
  readonly placed: ReadonlyArray<Placed>
  readonly message: OutgoingMessage | undefined
  readonly live: ReadonlyArray<Match<ReceivingSession>>
  /** The sessions that were chosen for it of those who share a subscription. */
  readonly chosen: ReadonlyArray<ReceivingSession>
  readonly hasReceivers: boolean
  readonly topic: string | undefined
  refusal: Refusal | undefined
  /** The packet id of QoS 2 waits for PUBREL on this publication's account. */
  isRemembered = false
  /** It has come before, and that is not answered yet. */
  readonly isRepeat: boolean

  constructor(publisher: Publisher, packetId: number, qos: number, parts: Partial<PublicationParts>) {
    this.#publisher = publisher
    this.packetId = packetId
    this.qos = qos
    this.placed = parts.placed ?? nowhere
    this.message = parts.message
    this.live = parts.live ?? nobody
    this.chosen = parts.chosen ?? noSessions
    this.hasReceivers = parts.hasReceivers ?? true
    this.topic = parts.topic
    this.refusal = parts.refusal
    this.isRepeat = parts.isRepeat ?? false
  }

  /** Called when all is decided that has to be durable beside the records of streams: the first refusal says why. */
  readonly decided = ({ exits }: ListAnswer): void => {
    const refused = exits.find(Exit.isFailure)
    if (refused !== undefined) this.refusal ??= failureOf(refused.cause)
  }

  /** The refusal so far: before the turn there is one only if no batch has room. */
  refusalSoFar(): Refusal | undefined {
    for (const { batch } of this.placed) this.refusal ??= batchRefusal(batch)
    return this.refusal
  }

  acked(): void {
    this.#publisher.waiting--
    this.answer()
  }

  answer(): void {
    for (const session of this.chosen) session.chosen--
    this.refusalSoFar()
    this.#publisher.answer(this)
  }
}

interface PublicationParts {
  readonly placed: ReadonlyArray<Placed>
  readonly message: OutgoingMessage | undefined
  readonly live: ReadonlyArray<Match<ReceivingSession>>
  readonly chosen: ReadonlyArray<ReceivingSession>
  readonly hasReceivers: boolean
  readonly topic: string
  readonly refusal: Refusal
  readonly isRepeat: boolean
}

const nowhere: ReadonlyArray<never> = []
const nobody: ReadonlyArray<Match<ReceivingSession>> = []
const noSessions: ReadonlyArray<ReceivingSession> = []

/** More than the publication itself. */
interface With {
  /**
   * Adds to the list of the publishing session's shard what must be durable with it. `all`: the list's entries so far; `stored`:
   * those that are its records in streams, empty if some are of another shard.
   */
  readonly adds: (list: CommandList, all: ReadonlyArray<number>, stored: ReadonlyArray<number>) => void
  /** Its streams have it already. */
  readonly isStored?: boolean
}

interface ListedParts {
  readonly publication: Publication
  readonly inStreams: ReadonlyArray<Placed>
  readonly durable: ReadonlyArray<Match<ReceivingSession>>
  readonly retained: RetainedMessage | undefined
  readonly adds: With["adds"] | undefined
  readonly nowMs: number
}

/** The entry that sets the retained message, and its list. */
interface InStore {
  readonly list: CommandList
  readonly entry: number
}

interface Selected {
  readonly live: ReadonlyArray<Match<ReceivingSession>>
  readonly durable: ReadonlyArray<Match<ReceivingSession>>
  /** By shared subscriptions. */
  readonly chosen: ReadonlyArray<ReceivingSession>
  readonly isUnanswered: boolean
}

/** A client's messages on their way in: into streams, the queues of durable sessions, the retained store. */
export class Publisher {
  readonly #mqtt: MqttContext
  readonly #principal: Principal
  readonly #clientId: string
  readonly #session: Address<typeof SessionKind>
  readonly #origin: string
  readonly #answered: Answered
  readonly #routes: PublishRoutes
  readonly #mountPoint: string
  /** Publications that wait for their turn. */
  waiting = 0

  /** `admission`: of the connection, if there is one, which remembers where its topics go. */
  constructor(
    mqtt: MqttContext,
    principal: Principal,
    clientId: string,
    origin: string,
    answered: Answered,
    admission?: Admission,
    mountPoint = ""
  ) {
    this.#mqtt = mqtt
    this.#principal = principal
    this.#clientId = clientId
    this.#session = sessionActor(clientId)
    this.#origin = origin
    this.#answered = answered
    this.#mountPoint = mountPoint
    this.#routes = new PublishRoutes(mqtt.broker.shards, mqtt.broker.directory, clientId, admission)
  }

  /** The refusal that can be told before anything is stored. */
  refusal(publication: Publication, plan: Plan<ReceivingSession>): Refusal | undefined {
    const { topic, retain, qos, userProperties } = publication
    const denied = deniedPublish(this.#mqtt.broker.authorizer, this.#principal, topic, this.#mountPoint)
    if (denied !== undefined) return denied
    if (publication.payloadFormat === 1 && !isUtf8(publication.payload)) return notUtf8
    if (this.#routes.lacksKey(topic, userProperties)) return withoutKey
    if (this.#routes.isTooLarge(publication)) return tooLarge
    const { shards, disk } = this.#mqtt.broker
    if (shards.failedActors.length > 0 && this.#needsFailed(topic, retain, qos, plan)) return unavailable
    if (!disk.isLow) return undefined
    const hasDurable = qos > 0 && this.#select(plan, qos).durable.length > 0
    return qos === 2 || retain || hasDurable || this.#routes.isBound(topic) ? diskLow : undefined
  }

  /** Whether an actor that was given up would have to store it: then nobody does, so that nobody stores it twice. */
  #needsFailed(topic: string, retain: boolean, qos: number, { targets }: Plan<ReceivingSession>): boolean {
    const { shards } = this.#mqtt.broker
    if (retain && shards.isFailed(retainedActor(topic))) return true
    if (qos === 2 && shards.isFailed(this.#session)) return true
    if (this.#routes.logIds(topic).some((logId) => shards.isFailed(partitionActor(logId)))) return true
    return targets.some(
      ({ clientId, match: { subscriber, qos: granted } }) =>
        subscriber.isDurable && Math.min(granted, qos) > 0 && this.#isSessionFailed(sessionActor(clientId))
    )
  }

  #isSessionFailed(session: ReturnType<typeof sessionActor>): boolean {
    const { shards } = this.#mqtt.broker
    return shards.isFailed(session) || shards.isFailed(partitionActor(shards.ownLogOf(session)))
  }

  /** Into the streams only: for a message that has no other receivers. */
  append(publication: Publication, nowMs: number): ReadonlyArray<Placed> {
    return this.#routes.append(publication, nowMs)
  }

  /** See `PublishRoutes.appendOnly`. */
  appendOnly(publication: Publication, nowMs: number, receiver: AckReceiver | undefined, token: number): boolean {
    return this.#routes.appendOnly(publication, nowMs, receiver, token)
  }

  /**
   * Hands the message to everything that has to know it: within a shard in one turn and one commit, and it is answered once all
   * shards have it. `more`: such as that its QoS 2 packet id is known if all is taken that its own shard has of it; exactly
   * once over several shards is not promised.
   */
  publish(
    publication: Publication,
    plan: Plan<ReceivingSession>,
    packetId: number,
    nowMs: number,
    more?: With
  ): PendingPublication {
    const retained = publication.retain ? retainedOf(publication, this.#clientId, nowMs) : undefined
    if (retained !== undefined && !this.#hasRoomFor(publication.topic, retained)) {
      return this.refuse(publication.topic, packetId, publication.qos, retainedFull)
    }
    const { live, durable, chosen, isUnanswered } = this.#select(plan, publication.qos)
    for (const session of chosen) session.chosen++
    const isStored = more?.isStored === true
    const adds = more?.adds
    const inStreams = isStored ? nowhere : this.#routes.append(publication, nowMs)
    // Most messages need none: streams and connected subscribers alone have them.
    const isListed = adds !== undefined || retained !== undefined || durable.length > 0
    const lists = isListed ? this.#mqtt.broker.shards.lists() : undefined
    const queued =
      lists === undefined ? nowhere : this.#fill(lists, { publication, inStreams, durable, retained, adds, nowMs })
    const pending = new PendingPublication(this, packetId, publication.qos, {
      placed: queued.length === 0 ? inStreams : [...inStreams, ...queued],
      message: live.length === 0 ? undefined : OutgoingMessage.copyOf(publication),
      live,
      chosen,
      hasReceivers: isStored || inStreams.length > 0 || live.length > 0 || durable.length > 0,
      topic: publication.topic
    })
    lists?.askAll({ origin: this.#origin }, pending.decided, retained?.payload.length ?? 0)
    this.wait(pending, isListed || inStreams.length > 0 || isUnanswered)
    return pending
  }

  /** The message goes nowhere: often a topic or a filter that is not spelt as it was meant. */
  unmatched(topic: string): void {
    this.#mqtt.metrics.dropped("no_match")
    this.#mqtt.unmatched.add(topic)
  }

  refuse(topic: string, packetId: number, qos: number, refusal: Refusal): PendingPublication {
    const refused = new PendingPublication(this, packetId, qos, { topic, refusal })
    this.wait(refused, false)
    return refused
  }

  /** Answers `pending` with its turn; at once if it has none to wait for and nothing before it waits. */
  wait(pending: PendingPublication, hasTurn: boolean): void {
    if (!hasTurn && this.waiting === 0) {
      pending.answer()
      return
    }
    this.waiting++
    this.#mqtt.broker.shards.ack(pending, 0, undefined, 0)
  }

  answer(pending: PendingPublication): void {
    if (pending.refusal !== undefined) this.#mqtt.metrics.dropped(pending.refusal.drop)
    else if (pending.message !== undefined) this.deliver(pending.message, pending.live)
    this.#answered.answered(pending)
  }

  /** To connected clients; what they cannot take is dropped and counted. */
  deliver(message: OutgoingMessage, live: ReadonlyArray<Match<ReceivingSession>>): void {
    const { retain, qos } = message.publication
    for (const { subscriber, qos: granted, retainAsPublished, subscriptionIds, share } of live) {
      const { connection, clientId } = subscriber
      const lower = Math.min(qos, granted) as QoS
      if (connection?.isOpen !== true) {
        if (share !== undefined) this.#mqtt.shared.redeliver(clientId, [{ message, qos: lower, share }])
        continue
      }
      connection.outgoing.deliver(message, lower, retain && retainAsPublished, subscriptionIds, share)
    }
  }

  #hasRoomFor(topic: string, message: RetainedMessage): boolean {
    return message.payload.length === 0 || this.#mqtt.retained.hasRoomFor(topic, message)
  }

  /**
   * Selects who gets it at once and who by the queue of a session; `isUnanswered`: for one of them it must not overtake its SUBACK.
   */
  #select(plan: Plan<ReceivingSession>, qos: number): Selected {
    let isUnanswered = false
    const live: Array<Match<ReceivingSession>> = []
    const durable: Array<Match<ReceivingSession>> = []
    const select = (match: Match<ReceivingSession> | undefined): void => {
      if (match === undefined) return
      if (match.subscriber.unanswered !== undefined) isUnanswered = true
      if (match.subscriber.isDurable && Math.min(match.qos, qos) > 0) durable.push(match)
      else if (match.subscriber.connection !== undefined) live.push(match)
    }
    for (const target of plan.targets) select(target.clientId === this.#clientId ? target.ownMatch : target.match)
    if (plan.groups.length === 0) return { live, durable, chosen: noSessions, isUnanswered }
    const chosen: Array<ReceivingSession> = []
    for (const group of plan.groups) {
      const match = this.#mqtt.shared.choose(group, qos)
      select(match)
      if (match !== undefined && Math.min(match.qos, qos) > 0) chosen.push(match.subscriber)
    }
    return { live, durable, chosen, isUnanswered }
  }

  /** All that is not a stream's or a connected subscriber's. Returns the records for durable sessions. */
  #fill(
    lists: ShardLists,
    { publication, inStreams, durable, retained, adds, nowMs }: ListedParts
  ): ReadonlyArray<Placed> {
    const own = lists.of(this.#session)
    const stored = adds === undefined ? nowhere : this.#addRecords(own, inStreams)
    const inStore = retained && this.#addRetained(lists, publication.topic, retained)
    const queued = this.#addEnqueues(lists, publication, durable, inStore, nowMs)
    adds?.(own, own.all, stored.length === inStreams.length ? stored : nowhere)
    return queued
  }

  /** The records of streams that are of the list's shard. Returns their entries. */
  #addRecords(list: CommandList, inStreams: ReadonlyArray<Placed>): ReadonlyArray<number> {
    const { shards } = this.#mqtt.broker
    const own = shards.of(this.#session)
    const entries: Array<number> = []
    for (const { batch, index } of inStreams) {
      if (shards.ofLog(batch.logId) === own) entries.push(list.record(batch, index))
    }
    return entries
  }

  /**
   * A message that the retained store refuses is in no queue of its shard: sent again, it would be there twice. It goes once into
   * the log of each shard that has one of the sessions: a reference never leads to another shard.
   */
  #addEnqueues(
    lists: ShardLists,
    publication: Publication,
    durable: ReadonlyArray<Match<ReceivingSession>>,
    inStore: InStore | undefined,
    nowMs: number
  ): ReadonlyArray<Placed> {
    if (durable.length === 0) return nowhere
    const { shards } = this.#mqtt.broker
    const placed: Array<Placed> = []
    const entries: Array<EntryIndex<RecordPlace, RecordRefusal>> = []
    const bytes = publication.payload.length + publication.topic.length
    const onlyIf = inStore && [inStore.entry]
    for (const { subscriber, qos, retainAsPublished, subscriptionIds, share } of durable) {
      const retain = retainAsPublished && publication.retain
      const granted = Math.min(qos, publication.qos) as QoS
      const ref = { qos: granted, retain, subscriptionIds, bytes, ...(share !== undefined && { share }) }
      const to = sessionActor(subscriber.clientId)
      const list = lists.of(to)
      const logId = shards.ownLogOf(to)
      let at = placed.findIndex(({ batch }) => batch.logId === logId)
      if (at === -1) {
        const queued = this.#mqtt.sessionLog.append(logId, publication, this.#clientId, this.#origin, nowMs)
        at = placed.push(queued) - 1
        entries.push(list.record(queued.batch, queued.index))
      }
      addEnqueue(list, subscriber.clientId, logId, entries[at]!, ref, list === inStore?.list ? onlyIf : undefined)
    }
    return placed
  }

  #addRetained(lists: ShardLists, topic: string, message: RetainedMessage): InStore {
    const to = retainedActor(topic)
    const list = lists.of(to)
    const entry = list.add(to, { _tag: "SetRetained", message: message.payload.length === 0 ? null : message })
    return { list, entry }
  }
}
