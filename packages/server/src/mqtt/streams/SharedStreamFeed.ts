import * as Exit from "effect/Exit"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { type MessageRef, sessionActor, type StreamReading } from "@logbrook/actors/session/SessionProtocol"
import type { StreamShareState } from "@logbrook/actors/streamShare/StreamShare"
import {
  type ReadOn,
  type RecordPlace,
  type ShareRecord,
  streamShareActor
} from "@logbrook/actors/streamShare/StreamShareProtocol"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { originOf } from "../../originOf.ts"
import { OutgoingMessage } from "../Message.ts"
import type { MqttContext, Receiver, ReceivingSession } from "../MqttContext.ts"
import { loadOf } from "../SharedDelivery.ts"
import type { Match } from "../Subscriptions.ts"
import { messageOfRecord } from "./recordMessage.ts"
import { askAgainMs, batchBytesMax, batchRecordsMax, looksMax, tellEveryMs, unsentBytesMax } from "./feeding.ts"
import { LostMarks } from "./LostMarks.ts"
import { deletionMessage, DeliveryReader, deliveryOf } from "./streamDelivery.ts"
import { type Found, StreamReader } from "./StreamReader.ts"
import { streamOfFilter } from "./StreamRequest.ts"
import { logsOf } from "./subscribeStream.ts"

type Member = Match<ReceivingSession>

/** Records on their way into the queue of one member's session. */
interface Batch {
  readonly member: Member
  readonly connection: Receiver
  readonly refs: Array<MessageRef>
  readonly places: Array<RecordPlace>
  bytes: number
}

/** Messages of QoS 0 for one member. */
interface Writing {
  readonly messages: Array<{ readonly message: OutgoingMessage; readonly retain: boolean }>
  readonly subscriptionIds: ReadonlyArray<number>
  bytes: number
}

/** A list for the group in the making: the records that one turn of the event loop deals out. */
class Step {
  /** By client id. */
  readonly batches = new Map<string, Batch>()
  /** The clients whose queues had no room for a record as large as one was: they get nothing more. */
  readonly full = new Set<string>()
  /** They are written once the actor has taken what goes with them. */
  readonly writings = new Map<Receiver, Writing>()
  /** Read on, and for members' queues. */
  readonly records: Array<ShareRecord> = []
  /** Records that waited and are written as QoS 0, by client id; null: they have gone with retention. */
  readonly passed = new Map<string | null, Array<RecordPlace>>()
  readonly marks: LostMarks
  /** No member has room for more. */
  isBlocked = false
  /** A member has no room, and may have it again without anybody saying so: that its queue is shorter is known once that is durable. */
  meetsFull = false
  /** The stream has no more. */
  isIdle = false

  constructor(marks: LostMarks) {
    this.marks = marks.copy()
  }

  /** The actors need not know of it now. */
  get isEmpty(): boolean {
    return this.batches.size === 0 && this.passed.size === 0 && this.records.length === 0
  }

  pass(to: string | null, place: RecordPlace): void {
    const places = this.passed.get(to)
    if (places === undefined) this.passed.set(to, [place])
    else places.push(place)
  }

  write({ subscriber, subscriptionIds }: Member, message: OutgoingMessage, retain: boolean): void {
    const connection = subscriber.connection!
    const writing = this.writings.get(connection) ?? { messages: [], subscriptionIds, bytes: 0 }
    this.writings.set(connection, writing)
    writing.messages.push({ message, retain })
    writing.bytes += message.byteLength
  }
}

/** A turn reads about a megabyte of what waits: those that wait may be far from each other. */
const bytesPerLook = 4096
/** Records for one member that wait for a place in its window, so that it need not wait for the next step with each acknowledgement. */
const aheadMax = 32

const isConnected = ({ subscriber }: Member): boolean => subscriber.connection !== undefined

/**
 * Reads a stream for those who share `$share/GROUP/$stream/NAME[/FILTER]`, and deals its records out, each to the connected member with the
 * least unacknowledged ones that has room.
 *
 *     first member ─► reading ─ nothing more there ─► idle ── append, a record comes back ──► reading
 *                        └ no member has room ─► blocked ─ ack, drain, another member ────────┘
 *
 * 1. A step is one list and one commit: the position moves (`ReadOn`), records go into the queues of members' sessions, durable or not
 *    (`Enqueue`), and no longer wait (`HandOut`). Records for which a queue has no room wait, and are dealt out before anything else is read.
 * 2. There is one step at a time, so that the next one begins where the journal says.
 * 3. QoS 0 is written once its step is taken. A step of nothing else is no list: it is written at once, and the position told behind it, as
 *    for one client alone (`StreamFeed`).
 * 4. A step that is refused is tried again from where the journal says, `askAgainMs` later, whatever happens meanwhile.
 */
export class SharedStreamFeed {
  readonly #mqtt: MqttContext
  readonly #filter: string
  readonly #stateOf: () => StreamShareState | undefined
  readonly #closed: () => void
  /** Those that are connected, with their Subscription Identifiers. */
  readonly #members = new Map<Receiver, ReadonlyArray<number>>()
  readonly #unwatchStreams: () => void
  #life = 0
  #reading: StreamReading | undefined
  #reader: StreamReader | undefined
  #marks = new LostMarks()
  #stream: Stream | undefined
  #unwatchLogs: ReadonlyArray<() => void> = []
  /** The positions that the actor was told. */
  readonly #told = new Map<number, number>()
  #accountBytes = 0
  #isScheduled = false
  #isAsking = false
  #isClosed = false
  /** Something was thrown. */
  #isBroken = false
  /** The reader goes on where the actor says, as soon as nothing is under way. */
  #isStale = false
  /** The last step was refused, and it is not tried again yet. */
  #isRefused = false
  #cancelTell: (() => void) | undefined
  #cancelAsk: (() => void) | undefined

  /** `stateOf`: the actor's state, as the journal has it. `closed` hears once nobody needs this feed any more. */
  constructor(mqtt: MqttContext, filter: string, stateOf: () => StreamShareState | undefined, closed: () => void) {
    this.#mqtt = mqtt
    this.#filter = filter
    this.#stateOf = stateOf
    this.#closed = closed
    this.#unwatchStreams = mqtt.broker.directory.onChange(() => this.#refresh())
    this.#open()
  }

  join(member: Receiver, subscriptionIds: ReadonlyArray<number>): void {
    this.#members.set(member, subscriptionIds)
    this.pump()
  }

  leave(member: Receiver): void {
    this.#members.delete(member)
    this.#closeIfUnused()
  }

  /** A record may have come, or come back, or a member may have room for more. */
  pump(): void {
    if (this.#isScheduled || this.#isAsking || this.#isRefused || this.#members.size === 0) return
    this.#isScheduled = true
    this.#mqtt.streamLooks.wait(() => {
      this.#isScheduled = false
      try {
        this.#turn()
      } catch (error) {
        this.#defect(error)
      }
    })
  }

  // --- The stream as it is ---

  /** Reading begins where the actor says, behind what is under way. */
  restart(): void {
    this.#isStale = true
    this.#isRefused = false
    this.pump()
  }

  #open(): void {
    this.#stopReading()
    this.#isStale = false
    const { broker } = this.#mqtt
    const state = this.#stateOf()
    const { name, topicFilter } = streamOfFilter(this.#filter)
    const stream = (this.#stream = broker.directory.byName(name))
    const reading = (this.#reading = state?.reading ?? undefined)
    this.#life = state?.life ?? 0
    if (reading === undefined || stream === undefined) return
    if (reading.topicId !== stream.topicId) {
      this.#begin(reading, stream)
      return
    }
    const logs = logsOf(broker, stream)
    this.#told.clear()
    for (const [partition, offset] of reading.positions.entries()) this.#told.set(partition, offset)
    this.#reader = new StreamReader({ stream: name, topicFilter, noLocal: undefined }, logs, reading)
    this.#keepAccount()
    this.#unwatchLogs = logs.map((log) => log.onAppend(() => this.pump()))
  }

  /** A stream that is another one now is wanted from its beginning; but it has not the offsets at which reading was to end. */
  #begin(reading: StreamReading, { topicId }: Stream): void {
    if (reading.ends !== null) return
    const command = { _tag: "Open", reading: { ...reading, topicId, positions: [] }, resets: true } as const
    this.#mqtt.broker.shards.tell(streamShareActor(this.#filter), command, { origin: shareOriginOf(this.#filter) })
  }

  /** Streams were made, deleted or changed. */
  #refresh(): void {
    const { name } = streamOfFilter(this.#filter)
    const before = this.#stream
    const stream = this.#mqtt.broker.directory.byName(name)
    if (before?.topicId === stream?.topicId && before?.logIds.length === stream?.logIds.length) return
    if (before !== undefined && before.topicId !== stream?.topicId) {
      for (const [{ version, outgoing }, subscriptionIds] of this.#members) {
        if (version === 5) outgoing.deliver(deletionMessage(name), 0, false, subscriptionIds)
      }
    }
    this.#goStale()
  }

  /** The actor is told first how far reading has got. */
  #goStale(): void {
    this.#isStale = true
    if (!this.#isAsking && !this.#tell()) this.restart()
  }

  #stopReading(): void {
    for (const unwatch of this.#unwatchLogs) unwatch()
    this.#unwatchLogs = []
    this.#reader = undefined
    this.#keepAccount()
  }

  /** The next feed begins where the actor says: it has to know first. */
  #closeIfUnused(): void {
    if (this.#members.size > 0 || this.#isAsking || this.#isClosed || this.#tell()) return
    this.#isClosed = true
    this.#cancelTell?.()
    this.#cancelAsk?.()
    this.#unwatchStreams()
    this.#stopReading()
    this.#closed()
  }

  #keepAccount(): void {
    const bytes = this.#reader?.byteLength ?? 0
    this.#mqtt.broker.shards.memory.add("transit", bytes - this.#accountBytes)
    this.#accountBytes = bytes
  }

  // --- Dealing out ---

  #turn(): void {
    if (this.#isAsking || this.#isClosed || this.#isBroken || this.#mqtt.isStopping) return
    if (this.#mqtt.broker.shards.isFailed(streamShareActor(this.#filter))) return
    const step = new Step(this.#marks)
    try {
      if (this.#isStale) this.#open()
      this.#fill(step)
    } catch (error) {
      this.#giveUp(step)
      if (!(error instanceof JournalError)) throw error
      this.#unreadable(error)
      return
    }
    if (step.isEmpty) {
      this.#taken(step)
      this.#tellLater()
    } else this.#ask(step)
    this.#rest(step)
  }

  /** Deals out what members have room for: first what waits, then what the stream has. */
  #fill(step: Step): void {
    const stream = this.#stream
    if (stream === undefined || this.#reading?.topicId !== stream.topicId) {
      this.#forgetWaiting(step)
      return
    }
    let left = looksMax - this.#fillWaiting(stream, step)
    let member: Member | undefined
    while (this.#reader !== undefined && left > 0 && !step.isIdle) {
      member ??= this.#choose(step)
      if (member === undefined) break
      const look = this.#reader.look()
      left--
      if (look === "idle") step.isIdle = true
      if (typeof look === "string") continue
      this.#give(member, look, stream, step)
      member = undefined
    }
    this.#mqtt.streamLooks.use(looksMax - left)
  }

  /** Those that wait, as many as a step may have. Returns the looks that it took, bytes that were read included. */
  #fillWaiting(stream: Stream, step: Step): number {
    const deliveries = new DeliveryReader(this.#mqtt.broker)
    let given = 0
    for (const record of this.#waiting()) {
      const place = { logId: stream.logIds[record.partition]!, offset: record.offset }
      if (deliveries.bytesRead >= looksMax * bytesPerLook && !deliveries.holds(place)) break
      if (!this.#giveWaiting(record, deliveries, stream, step)) break
      given++
    }
    return Math.min(looksMax, given + Math.floor(deliveries.bytesRead / bytesPerLook))
  }

  /** The first of those that wait: by their places, so that each batch is read once. */
  #waiting(): Array<ShareRecord> {
    const waiting = this.#stateOf()?.waiting ?? []
    const first: Array<ShareRecord> = []
    for (const record of waiting) if (first.push(record) === looksMax) break
    return first.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  }

  /** Their stream is no more. */
  #forgetWaiting(step: Step): void {
    const records = this.#waiting()
    for (const { partition, offset } of records) step.pass(null, [partition, offset])
    if (records.length > 0) this.#mqtt.metrics.dropped("expired", records.length)
  }

  #choose(step: Step): Member | undefined {
    const { directory } = this.#mqtt
    const group = directory.subscriptions.group(this.#filter)
    const member = group?.takeConnected(isConnected, (each) => this.#hasRoom(each, step), loadOf)
    if (member === undefined) step.isBlocked = true
    return member
  }

  #hasRoom({ subscriber, qos }: Member, step: Step): boolean {
    const { clientId, facts, chosen, unanswered } = subscriber
    const connection = subscriber.connection!
    const { shards, limits } = this.#mqtt.broker
    if (!connection.isOpen || shards.isFailed(sessionActor(clientId))) return false
    // Nothing comes before SUBACK, and whether it is granted is not known.
    if (unanswered?.has(this.#filter) === true) return full(step)
    if (qos === 0) {
      const bytesMax = unsentBytesMax - (step.writings.get(connection)?.bytes ?? 0)
      if (connection.unsentBytes >= bytesMax) connection.flush()
      return !connection.isSlow && connection.unsentBytes < bytesMax
    }
    const { refs, bytes } = step.batches.get(clientId) ?? noBatch
    if (step.full.has(clientId)) return false
    if (facts.queued + chosen >= limits.offlineQueueMessagesMax) return full(step)
    const { outgoing } = connection
    const share = this.#shareOfQueues()
    if (outgoing.underWay + refs.length >= Math.max(1, Math.floor(share * (connection.inflightMax + aheadMax)))) {
      return share < 1 ? full(step) : false
    }
    return refs.length < batchRecordsMax && bytes < batchBytesMax && !outgoing.hasBacklog(bytes)
  }

  /** While others have more than half of the memory for queues, members get less than they could: 1 is all, and one record always is. */
  #shareOfQueues(): number {
    const { memory } = this.#mqtt.broker.shards
    return Math.min(1, (2 * memory.room("queues")) / memory.budget("queues"))
  }

  /** The queue as the acknowledgements leave it that came. An empty one takes a record whatever its size is, see `Enqueue`. */
  #hasRoomFor(moreBytes: number, { refs, bytes, connection: { outgoing } }: Batch): boolean {
    if (outgoing.underWay === 0 && refs.length === 0) return true
    return outgoing.underWayBytes + bytes + moreBytes <= this.#mqtt.broker.limits.offlineQueueBytesMax
  }

  #refOf(member: Member, { partition, offset, ...marks }: ShareRecord, stream: Stream): Omit<MessageRef, "bytes"> {
    const { qos, subscriptionIds } = member
    return {
      logId: stream.logIds[partition]!,
      offset,
      qos,
      retain: false,
      subscriptionIds,
      share: this.#filter,
      stream: deliveryOf(marks, this.#reading!.isFullTopic)
    }
  }

  /** False: it goes on waiting, since no member has room for it. */
  #giveWaiting(waiting: ShareRecord, deliveries: DeliveryReader, stream: Stream, step: Step): boolean {
    const record = step.marks.addedTo(waiting)
    const place: RecordPlace = [record.partition, record.offset]
    for (let member = this.#choose(step); member !== undefined; member = this.#choose(step)) {
      const { clientId, connection } = member.subscriber
      const ref = this.#refOf(member, record, stream)
      const message = deliveries.read(ref, connection!.version === 5)
      if (message === undefined) {
        this.#mqtt.metrics.dropped("expired")
        step.marks.keep(record)
        step.pass(null, place)
        return true
      }
      if (!this.#deliver(member, place, ref, message, step)) continue
      if (member.qos === 0) step.pass(clientId, place)
      step.marks.told(record)
      return true
    }
    return false
  }

  #give(first: Member, { record, marks }: Found, stream: Stream, step: Step): void {
    const { partition, offset } = record
    const place: RecordPlace = [partition, offset]
    if (marks.gap !== undefined) this.#mqtt.metrics.dropped("expired", marks.gap)
    const found = step.marks.addedTo({ partition, offset, ...marks })
    // It has them also while it waits.
    step.marks.told(found)
    let member: Member | undefined = first
    for (; member !== undefined; member = this.#choose(step)) {
      const hasProperties = member.subscriber.connection!.version === 5
      const message = new OutgoingMessage(messageOfRecord(record, found, this.#reading!.isFullTopic, hasProperties))
      if (this.#deliver(member, place, this.#refOf(member, found, stream), message, step)) break
    }
    // Of QoS 0 it is in no queue; without a member it waits.
    if (member?.qos !== 0) step.records.push(found)
  }

  /** False: the queue of the member's session has no room for so much. */
  #deliver(
    member: Member,
    place: RecordPlace,
    ref: Omit<MessageRef, "bytes">,
    message: OutgoingMessage,
    step: Step
  ): boolean {
    const { subscriber, qos, retainAsPublished } = member
    const connection = subscriber.connection!
    const retain = retainAsPublished && message.publication.retain
    if (qos === 0) {
      step.write(member, message, retain)
      return true
    }
    const { clientId } = subscriber
    const batch = step.batches.get(clientId) ?? { member, connection, refs: [], places: [], bytes: 0 }
    const queued: MessageRef = { ...ref, retain, bytes: message.byteLength }
    if (!this.#hasRoomFor(queued.bytes, batch)) {
      step.full.add(clientId)
      return false
    }
    step.batches.set(clientId, batch)
    batch.refs.push(queued)
    batch.places.push(place)
    batch.bytes += queued.bytes
    connection.streams.put(queued, message)
    subscriber.chosen++
    return true
  }

  /** Nobody gets what is in it. */
  #giveUp(step: Step): void {
    for (const batch of step.batches.values()) forget(batch)
    this.#goBack()
  }

  /** The reader has passed what nobody got: another one has to begin before it. */
  #goBack(): void {
    this.#stopReading()
    this.#isStale = true
  }

  #taken({ writings, marks }: Step): void {
    this.#marks = marks
    for (const [connection, { messages, subscriptionIds }] of writings) {
      if (!connection.isOpen) continue
      connection.guarded(() => {
        for (const { message, retain } of messages) connection.outgoing.deliver(message, 0, retain, subscriptionIds)
      })
    }
  }

  /** None of its members is at fault. Another feed begins once all of them have gone. */
  #defect(error: unknown): void {
    this.#isBroken = true
    this.#stopReading()
    this.#mqtt.broker.log.error("mqtt: a defect ends the reading of a group", {
      filter: this.#filter,
      error: String(error)
    })
  }

  #unreadable({ message: error }: JournalError): void {
    this.#mqtt.broker.log.error("mqtt: a stream cannot be read", { filter: this.#filter, error })
    for (const member of this.#members.keys()) member.lost("a stream cannot be read")
  }

  /** Behind a turn: whoever is idle or blocked is woken. */
  #rest({ isIdle, isBlocked, meetsFull, writings }: Step): void {
    if (isBlocked && meetsFull) this.#askLater()
    const reader = this.#reader
    if (reader === undefined) return
    if (isIdle && reader.isOver) {
      this.#tell()
      this.#stopReading()
      return
    }
    const isShort = this.#mqtt.broker.shards.memory.room("transit") < reader.heldBytes
    if (isIdle || isShort) reader.letGo()
    this.#keepAccount()
    // What was written may have gone at once: then nobody says that there is room again.
    if (!isIdle && (!isBlocked || writings.size > 0)) this.pump()
  }

  // --- To the actors ---

  #ask(step: Step): void {
    const { batches, records, passed } = step
    const { shards } = this.#mqtt.broker
    const share = streamShareActor(this.#filter)
    const lists = shards.lists()
    const list = lists.of(share)
    const read = list.add(share, { _tag: "ReadOn", life: this.#life, positions: this.#moved(), records })
    for (const [to, places] of passed) list.add(share, { _tag: "HandOut", records: places, to }, [read])
    const enqueued = Array.from(batches, ([clientId, batch]) => {
      const { refs, places } = batch
      const entry = list.add(sessionActor(clientId), { _tag: "Enqueue", messages: refs, isWhole: true }, [read])
      list.add(share, { _tag: "HandOut", records: places, to: clientId }, [entry])
      return { batch, entry }
    })
    this.#isAsking = true
    lists.askAll({ origin: shareOriginOf(this.#filter) }, ({ exits }) => {
      const isRead = Exit.isSuccess(exits[read]!)
      if (isRead) this.#taken(step)
      let isTaken = true
      for (const { batch, entry } of enqueued) {
        if (Exit.isSuccess(exits[entry]!)) batch.member.subscriber.chosen -= batch.refs.length
        else {
          forget(batch)
          isTaken = false
        }
      }
      this.#answered(isRead, isTaken)
    })
  }

  /** `isRead`: the actor has taken the position. `isTaken`: all queues had room. */
  #answered(isRead: boolean, isTaken: boolean): void {
    const beginsAnew = this.#isStale
    this.#isAsking = false
    if (!isRead) this.#goBack()
    this.#isRefused = !beginsAnew && !(isRead && isTaken)
    if (this.#isRefused) this.#askLater()
    else this.pump()
    this.#closeIfUnused()
  }

  /** Something is full, or was refused: nobody says when that has passed. */
  #askLater(): void {
    this.#cancelAsk ??= this.#mqtt.broker.clock.after(askAgainMs, () => {
      this.#cancelAsk = undefined
      this.#isRefused = false
      this.pump()
    })
  }

  /** The positions that the actor does not know, which it is told now. */
  #moved(): ReadOn["positions"] {
    const moved: Array<ReadOn["positions"][number]> = []
    for (const [partition, to] of this.#reader?.positions() ?? []) {
      const from = this.#told.get(partition) ?? 0
      if (from === to) continue
      moved.push([partition, from, to])
      this.#told.set(partition, to)
    }
    return moved
  }

  /** Tells positions that moved without records for queues. False: there is nothing to tell, or it is told behind what is under way. */
  #tell(): boolean {
    if (this.#isAsking) return false
    const positions = this.#moved()
    if (positions.length === 0) return false
    const command = { _tag: "ReadOn", life: this.#life, positions, records: [] } as const
    const cause = { origin: shareOriginOf(this.#filter) }
    this.#isAsking = true
    this.#mqtt.broker.shards.unsafeAsk(streamShareActor(this.#filter), command, cause, (exit) =>
      this.#answered(Exit.isSuccess(exit), true)
    )
    return true
  }

  #tellLater(): void {
    if (this.#reader === undefined) return
    this.#cancelTell ??= this.#mqtt.broker.clock.after(tellEveryMs, () => {
      this.#cancelTell = undefined
      this.#tell()
    })
  }
}

const noBatch = { refs: [], bytes: 0 }

/** Returns that there is no room. */
const full = (step: Step): false => {
  step.meetsFull = true
  return false
}

/** They do not come into the queue. */
const forget = ({ member, connection, refs }: Batch): void => {
  member.subscriber.chosen -= refs.length
  for (const ref of refs) connection.streams.take(ref)
}

export const shareOriginOf = (filter: string): string => originOf("mqtt", filter, " shared")
