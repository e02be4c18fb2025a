import * as Exit from "effect/Exit"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { MessageRef, ReadStream, StreamReading, Subscription } from "@logbrook/actors/session/SessionProtocol"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { Client } from "../Client.ts"
import { OutgoingMessage } from "../Message.ts"
import type { Outgoing } from "../Outgoing.ts"
import { subscriptionIdsOf } from "../Subscriptions.ts"
import { askAgainMs, batchBytesMax, batchRecordsMax, looksMax, tellEveryMs, unsentBytesMax } from "./feeding.ts"
import { ReadyMessages } from "./ReadyMessages.ts"
import { deletionMessage, deliveryOf } from "./streamDelivery.ts"
import { messageOfRecord } from "./recordMessage.ts"
import { type Found, StreamReader } from "./StreamReader.ts"
import { isSharedStreamFilter, streamOfFilter } from "./StreamRequest.ts"
import { logsOf } from "./subscribeStream.ts"

/** A client that reads streams. */
interface ReadingClient extends Client {
  readonly isOpen: boolean
  readonly isSlow: boolean
  readonly inflightMax: number
  /** Written and not yet taken by the client's side. */
  readonly unsentBytes: number
  readonly session: { readonly isDurable: boolean } | undefined
  readonly outgoing: Outgoing
  readonly streams: StreamFeed
  readonly flush: () => void
}

/** Records that wait for the session's actor. */
interface Collected {
  readonly messages: Array<MessageRef>
  bytes: number
}

/** A subscription of a stream. */
interface Feeding {
  subscription: Subscription & { readonly stream: StreamReading }
  /** Undefined: there is no stream of the name, or nothing more comes of it. */
  reader: StreamReader | undefined
  stream: Stream | undefined
  /** On the account: of the reader, and of what it has read ahead. */
  accountBytes: number
  /** The positions that the session's actor was told. */
  told: Map<number, number>
  /** The actor has not taken what was read yet; meanwhile nothing is read. */
  isAsking: boolean
  /** The command that it had no room for. */
  refused: ReadStream | undefined
  unwatch: ReadonlyArray<() => void>
}

/**
 * The streams that one client reads.
 *
 *     SUBACK, or a session that is back ─► reading ─ nothing more there ─► idle ── append ──► reading
 *                                            └ no room at the client ────► blocked ─ ack, drain ─┘
 *
 * Whoever reads or is blocked is due; whoever is idle costs nothing until its own stream has more.
 *
 * 1. A record goes out when the client has room for it at that moment: an unused place in its window (QoS 1 and 2), or a socket that takes
 *    what is written (QoS 0). History never waits in memory, and nothing of it is dropped.
 * 2. A durable session's records of QoS 1 and 2 pass through its queue, as references to the stream, in the commit in which its position
 *    moves: what is acknowledged does not come again, what is not does, under the packet id that it had.
 * 3. All connections together look at `streamLooks` records in a turn of the event loop, in the order of coming.
 * 4. Batches that were read ahead are on the account, and given back while memory is short.
 */
export class StreamFeed {
  readonly #connection: ReadingClient
  readonly #feedings = new Map<string, Feeding>()
  /** The filters of groups of which the client is a member: their records come from `StreamShares`. */
  readonly #shares = new Set<string>()
  readonly #ready: ReadyMessages
  /** Those that may have something to read, in the order of their turns. */
  readonly #due = new Set<Feeding>()
  #isScheduled = false
  #asksAgain = false
  /** How often the client has taken something. */
  #takes = 0
  #cancelTell: (() => void) | undefined
  #cancelAsk: (() => void) | undefined
  #unwatch: (() => void) | undefined
  #isStopped = false

  constructor(connection: ReadingClient) {
    this.#connection = connection
    this.#ready = new ReadyMessages(connection.admission)
  }

  get isEmpty(): boolean {
    return this.#feedings.size === 0
  }

  /** Behind the SUBACK, or when a session is back. A subscription that is there goes on, unless it `resets`. */
  add(subscription: Subscription, resets = false): void {
    const { filter, stream } = subscription
    if (isSharedStreamFilter(filter)) this.#join(subscription)
    if (stream === undefined) return
    const known = this.#feedings.get(filter)
    const isKnown = known !== undefined && !resets && known.subscription.stream.topicId === stream.topicId
    const positions = isKnown ? positionsOf(known) : stream.positions
    if (known !== undefined && !isKnown) this.#drop(known)
    const asked = { ...subscription, stream: { ...stream, positions } }
    const told = new Map(stream.positions.entries())
    // The same object where it goes on: an answer of the actor may be on its way to it.
    const feeding: Feeding = isKnown
      ? Object.assign(known, { subscription: asked, told })
      : {
          subscription: asked,
          told,
          reader: undefined,
          stream: undefined,
          accountBytes: 0,
          isAsking: false,
          refused: undefined,
          unwatch: []
        }
    this.#feedings.set(filter, feeding)
    const { directory } = this.#connection.mqtt.broker
    this.#unwatch ??= directory.onChange(() => this.#refresh())
    this.#open(feeding)
  }

  #join(subscription: Subscription): void {
    this.#shares.add(subscription.filter)
    const { mqtt } = this.#connection
    mqtt.streamShares.join(subscription.filter, this.#connection, subscriptionIdsOf(subscription))
  }

  #leaveShare(filter: string): void {
    if (this.#shares.delete(filter)) this.#connection.mqtt.streamShares.leave(filter, this.#connection)
  }

  /** Nothing more is read for it; what is in the queue comes all the same. */
  remove(filter: string): void {
    this.#leaveShare(filter)
    const feeding = this.#feedings.get(filter)
    if (feeding === undefined) return
    this.#feedings.delete(filter)
    this.#drop(feeding)
  }

  /** Tells the session's actor how far the client has got. */
  flush(): void {
    for (const feeding of this.#feedings.values()) this.#tell(feeding)
  }

  /** The connection has gone. */
  stop(): void {
    this.#isStopped = true
    this.#unwatch?.()
    this.#cancelTell?.()
    this.#cancelAsk?.()
    for (const feeding of this.#feedings.values()) this.#close(feeding)
    this.#feedings.clear()
    for (const filter of this.#shares) this.#leaveShare(filter)
    this.#due.clear()
    this.#ready.clear()
  }

  /** A record on its way into the queue by a group, as `MessageRef` and as it will be sent. */
  put(ref: MessageRef, message: OutgoingMessage): void {
    this.#ready.put(ref, message)
  }

  /** The message of a reference that this connection has put into the queue, once. */
  take(ref: MessageRef): OutgoingMessage | undefined {
    return this.#ready.take(ref)
  }

  /** They do not come into the queue. */
  #forget({ messages }: ReadStream): void {
    for (const ref of messages) this.#ready.take(ref)
  }

  /** There may be something to read, or the client may have room for it. */
  pump(): void {
    if (this.#isScheduled || (this.#due.size === 0 && !this.#asksAgain)) return
    this.#isScheduled = true
    this.#connection.mqtt.streamLooks.wait(() => this.#connection.guarded(() => this.#turn()))
  }

  /** The client has acknowledged something, or read on: it may have room, and its queue as well. */
  hasTaken(): void {
    for (const filter of this.#shares) this.#connection.mqtt.streamShares.hasTaken(filter)
    if (this.isEmpty) return
    this.#takes++
    // In the turn that follows: the acknowledgement is on its way to the actor by then.
    this.#asksAgain = true
    this.pump()
  }

  // --- The streams as they are ---

  #open(feeding: Feeding): void {
    this.#close(feeding)
    const { mqtt, clientId } = this.#connection
    const { filter, noLocal, stream: reading } = feeding.subscription
    const { name, topicFilter } = streamOfFilter(filter)
    const stream = mqtt.broker.directory.byName(name)
    feeding.stream = stream
    if (stream === undefined) return
    const isSame = reading.topicId === stream.topicId
    // A stream that is another one now is wanted from its beginning; but it has not the offsets at which reading was to end.
    if (!isSame && reading.ends !== null) return
    const logs = logsOf(mqtt.broker, stream)
    const own = isSame ? reading : { ...reading, topicId: stream.topicId, positions: [] }
    if (!isSame) feeding.told.clear()
    feeding.subscription = { ...feeding.subscription, stream: own }
    const wanted = { stream: name, topicFilter, noLocal: noLocal ? clientId : undefined }
    feeding.reader = new StreamReader(wanted, logs, own)
    this.#keepAccount(feeding)
    feeding.unwatch = logs.map((log) => log.onAppend(() => this.#wake(feeding)))
    this.#wake(feeding)
  }

  /** There may be something to read for it. */
  #wake(feeding: Feeding): void {
    this.#due.add(feeding)
    this.pump()
  }

  /** For good. */
  #drop(feeding: Feeding): void {
    this.#close(feeding)
    if (feeding.refused !== undefined) this.#forget(feeding.refused)
    feeding.refused = undefined
  }

  #close(feeding: Feeding): void {
    this.#due.delete(feeding)
    for (const unwatch of feeding.unwatch) unwatch()
    feeding.unwatch = []
    feeding.reader = undefined
    this.#keepAccount(feeding)
  }

  /** Streams were made, deleted or changed. */
  #refresh(): void {
    const { directory } = this.#connection.mqtt.broker
    for (const feeding of this.#feedings.values()) {
      const before = feeding.stream
      const { name } = streamOfFilter(feeding.subscription.filter)
      const stream = directory.byName(name)
      if (before?.topicId === stream?.topicId && before?.logIds.length === stream?.logIds.length) continue
      if (before !== undefined && before.topicId !== stream?.topicId) this.#tellDeletion(name, feeding)
      const positions = positionsOf(feeding)
      feeding.subscription = { ...feeding.subscription, stream: { ...feeding.subscription.stream, positions } }
      this.#open(feeding)
    }
  }

  #tellDeletion(name: string, { subscription }: Feeding): void {
    const { version, outgoing } = this.#connection
    if (version !== 5) return
    outgoing.deliver(deletionMessage(name), 0, false, subscriptionIdsOf(subscription))
  }

  // --- Reading ---

  #turn(): void {
    this.#isScheduled = false
    if (this.#isStopped || !this.#connection.isOpen) return
    if (this.#asksAgain) for (const feeding of this.#feedings.values()) this.#askAgain(feeding)
    this.#asksAgain = false
    let left = looksMax
    // Whoever is not through is due again, behind them.
    const due = [...this.#due]
    for (const feeding of due) {
      if (left === 0) break
      this.#due.delete(feeding)
      left = this.#read(feeding, left)
    }
    this.#connection.mqtt.streamLooks.use(looksMax - left)
    // Whoever had no look has the next turn first.
    if (left === 0) this.pump()
  }

  /** Gives the client what it has room for, with so many looks at most. Returns how many are left. */
  #read(feeding: Feeding, looks: number): number {
    const { reader } = feeding
    if (reader === undefined || feeding.isAsking) return looks
    const isQueued = this.#isQueued(feeding)
    const collected: Collected = { messages: [], bytes: 0 }
    let left = looks
    let isIdle = false
    try {
      while (left > 0 && !isIdle && this.#hasRoom(feeding, collected)) {
        const look = reader.look()
        left--
        if (look === "idle") isIdle = true
        else if (look !== "passed" && isQueued) this.#collect(feeding, look, collected)
        else if (look !== "passed") this.#deliver(feeding, look)
      }
    } catch (error) {
      if (!(error instanceof JournalError)) throw error
      this.#unreadable(feeding, error)
      return left
    }
    if (collected.messages.length > 0) this.#ask(feeding, collected.messages)
    else this.#tellLater(feeding)
    if (isIdle && reader.isOver) {
      this.#finish(feeding)
      return left
    }
    if (!isIdle) this.#due.add(feeding)
    // Whoever is idle has nothing to read ahead; whoever waits gives it back while memory is short.
    if (isIdle || !this.#connection.admission.hasRoomToRemember("transit", reader.heldBytes)) reader.letGo()
    this.#keepAccount(feeding)
    return left
  }

  /** Nothing more comes of its reader. The actor is told where it ended, if that did not go with the last messages. */
  #finish(feeding: Feeding): void {
    this.#tell(feeding)
    const { subscription } = feeding
    feeding.subscription = { ...subscription, stream: { ...subscription.stream, positions: positionsOf(feeding) } }
    this.#close(feeding)
  }

  #keepAccount(feeding: Feeding): void {
    const bytes = feeding.reader?.byteLength ?? 0
    this.#connection.admission.add("transit", bytes - feeding.accountBytes)
    feeding.accountBytes = bytes
  }

  #unreadable({ subscription: { filter } }: Feeding, error: JournalError): void {
    this.#connection.mqtt.broker.log.error("mqtt: a stream cannot be read", { filter, error: error.message })
    this.#connection.lost("a stream cannot be read")
  }

  /** Of a durable session: they have to survive a crash. */
  #isQueued({ subscription }: Feeding): boolean {
    return subscription.qos > 0 && this.#connection.session?.isDurable === true
  }

  #hasRoom(feeding: Feeding, { messages, bytes }: Collected): boolean {
    const { outgoing, mqtt } = this.#connection
    if (this.#isQueued(feeding)) {
      const { offlineQueueMessagesMax, offlineQueueBytesMax } = mqtt.broker.limits
      return (
        messages.length < Math.min(batchRecordsMax, offlineQueueMessagesMax) &&
        bytes < Math.min(batchBytesMax, offlineQueueBytesMax) &&
        !outgoing.hasBacklog(bytes)
      )
    }
    if (feeding.subscription.qos > 0 && !outgoing.hasWindow) return false
    if (this.#connection.unsentBytes < unsentBytesMax) return true
    // What was written in this turn may all go at once.
    this.#connection.flush()
    return this.#connection.unsentBytes < unsentBytesMax
  }

  #messageOf({ subscription }: Feeding, { record, marks }: Found): OutgoingMessage {
    const { isFullTopic } = subscription.stream
    if (marks.gap !== undefined) this.#connection.mqtt.metrics.dropped("expired", marks.gap)
    return new OutgoingMessage(messageOfRecord(record, marks, isFullTopic, this.#connection.version === 5))
  }

  #deliver(feeding: Feeding, found: Found): void {
    const { subscription } = feeding
    const { qos, retainAsPublished } = subscription
    const message = this.#messageOf(feeding, found)
    const retain = retainAsPublished && message.publication.retain
    this.#connection.outgoing.deliver(message, qos, retain, subscriptionIdsOf(subscription))
  }

  #collect(feeding: Feeding, found: Found, collected: Collected): void {
    const { subscription } = feeding
    const { qos, retainAsPublished, stream } = subscription
    const { partition, offset } = found.record
    const message = this.#messageOf(feeding, found)
    const ref: MessageRef = {
      logId: feeding.stream!.logIds[partition]!,
      offset,
      qos,
      retain: retainAsPublished && message.publication.retain,
      subscriptionIds: subscriptionIdsOf(subscription),
      bytes: message.byteLength,
      stream: deliveryOf(found.marks, stream.isFullTopic)
    }
    this.#ready.put(ref, message)
    collected.messages.push(ref)
    collected.bytes += ref.bytes
  }

  // --- To the session's actor ---

  #ask(feeding: Feeding, messages: ReadonlyArray<MessageRef>): void {
    const command = this.#commandOf(feeding, messages)
    if (command === undefined) return
    feeding.isAsking = true
    this.#askFor(feeding, command)
  }

  #askFor(feeding: Feeding, command: ReadStream): void {
    const takes = this.#takes
    this.#connection.ask("PUBLISH", command, (exit) => {
      if (Exit.isFailure(exit)) {
        this.#connection.lost("its session does not take what a stream has for it")
        return
      }
      if (exit.value.isTaken) {
        feeding.isAsking = false
        if (feeding.reader !== undefined) this.#wake(feeding)
      } else if (this.#feedings.get(command.filter) === feeding) {
        feeding.refused = command
        if (takes === this.#takes) this.#askLater()
        else {
          this.#asksAgain = true
          this.pump()
        }
      } else this.#forget(command)
    })
  }

  /** The session's queue, or memory, is full: that passes when this client, or others, take what is there. */
  #askLater(): void {
    this.#cancelAsk ??= this.#connection.mqtt.broker.clock.after(askAgainMs, () => {
      this.#cancelAsk = undefined
      for (const feeding of this.#feedings.values()) this.#askAgain(feeding)
    })
  }

  #askAgain(feeding: Feeding): void {
    const { refused } = feeding
    if (refused === undefined) return
    feeding.refused = undefined
    this.#askFor(feeding, refused)
  }

  /** Undefined: nothing has changed. */
  #commandOf(feeding: Feeding, messages: ReadonlyArray<MessageRef>): ReadStream | undefined {
    const { subscription, reader, told } = feeding
    const { topicId } = subscription.stream
    if (reader === undefined || topicId === null) return undefined
    const positions = reader.positions().filter(([partition, offset]) => told.get(partition) !== offset)
    if (positions.length === 0 && messages.length === 0) return undefined
    for (const [partition, offset] of positions) told.set(partition, offset)
    return {
      _tag: "ReadStream",
      connectionId: this.#connection.id,
      filter: subscription.filter,
      topicId,
      messages,
      positions
    }
  }

  /** Positions of a durable session that moved without records in the queue. */
  #tell(feeding: Feeding): void {
    if (feeding.isAsking || this.#connection.session?.isDurable !== true) return
    const command = this.#commandOf(feeding, [])
    if (command !== undefined) this.#connection.ask("PUBLISH", command, () => undefined)
  }

  #tellLater({ reader }: Feeding): void {
    const { session, mqtt } = this.#connection
    if (reader === undefined || session?.isDurable !== true) return
    this.#cancelTell ??= mqtt.broker.clock.after(tellEveryMs, () => {
      this.#cancelTell = undefined
      this.flush()
    })
  }
}

/** Where another reader goes on. */
const positionsOf = ({ subscription, reader }: Feeding): ReadonlyArray<number> => {
  const positions = [...subscription.stream.positions]
  for (const [partition, offset] of reader?.positions() ?? []) {
    while (positions.length < partition) positions.push(0)
    positions[partition] = offset
  }
  return positions
}
