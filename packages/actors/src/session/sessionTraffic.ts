import type { Signal } from "@logbrook/core/actor/Definition"
import { repeatIn } from "@logbrook/core/actor/Outbox"
import { decided, done, isOfStreamShare, notify, refuse, release, type SessionDecision } from "./sessionDraft.ts"
import type {
  Acked,
  CountDropped,
  DroppedMessage,
  Enqueue,
  MarkSent,
  MessageRef,
  QueueLimit,
  ReceiveQos2,
  Received,
  ReadStream,
  ReleaseQos2,
  ReleaseShared,
  SessionEvent,
  SessionKind,
  SessionSettings,
  StreamReading,
  Subscribe,
  Subscription,
  SubscriptionsMade,
  Unsubscribe
} from "./SessionProtocol.ts"
import { queueEntry, type SessionState } from "./sessionState.ts"
import { weightOfQueued, weightOfSubscription } from "./sessionWeight.ts"

const packetIdMax = 65_535

const isSame = (a: Subscription | undefined, b: Subscription): boolean =>
  a !== undefined &&
  a.qos === b.qos &&
  a.noLocal === b.noLocal &&
  a.retainAsPublished === b.retainAsPublished &&
  a.retainHandling === b.retainHandling &&
  a.subscriptionId === b.subscriptionId &&
  isSameReading(a.stream, b.stream)

/** By identity: what goes on has the very positions that there were. */
const isSameReading = (a: StreamReading | undefined, b: StreamReading | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.topicId === b.topicId &&
    a.positions === b.positions &&
    a.ends === b.ends &&
    a.untilMs === b.untilMs &&
    a.isFullTopic === b.isFullTopic)

/**
 * A subscription that there is goes on where it has read to, and to the end that it was given: clients subscribe again with
 * the same start whenever they come back. A stream that was waited for is wanted from its beginning.
 */
const readingOf = (known: StreamReading | undefined, asked: StreamReading, resets: boolean): StreamReading => {
  if (known === undefined || resets) return asked
  const isSameStream = known.topicId === asked.topicId || (known.topicId === null && asked.topicId !== null)
  return isSameStream ? { ...known, topicId: asked.topicId, isFullTopic: asked.isFullTopic } : asked
}

const goingOn = (
  known: Subscription | undefined,
  asked: Subscription,
  resets: ReadonlyArray<string> | undefined
): Subscription => {
  if (asked.stream === undefined) return asked
  return { ...asked, stream: readingOf(known?.stream, asked.stream, resets?.includes(asked.filter) === true) }
}

/** A repeated subscription changes nothing and is no event. `roomBytes`: for subscriptions that are new. */
export const subscribe = (
  settings: SessionSettings,
  state: SessionState,
  command: Subscribe,
  roomBytes: number
): SessionDecision => {
  const changed = new Map<string, Subscription>()
  const results: Array<SubscriptionsMade["results"][number]> = []
  let size = state.subscriptions.size
  let leftBytes = roomBytes
  for (const asked of command.subscriptions) {
    const { filter, qos } = asked
    const known = changed.get(filter) ?? state.subscriptions.get(filter)
    const subscription = goingOn(known, asked, command.resets)
    const isNew = known === undefined
    const bytes = isNew ? weightOfSubscription(subscription) : 0
    if (isNew && (size >= settings.subscriptionsPerSessionMax || bytes > leftBytes)) {
      results.push({ filter, grantedQos: null, isNew: false })
      continue
    }
    if (isNew) size++
    leftBytes -= bytes
    if (!isSame(known, subscription)) changed.set(filter, subscription)
    const { stream } = subscription
    results.push({ filter, grantedQos: qos, isNew, ...(stream && { stream }) })
  }
  const events: ReadonlyArray<SessionEvent> =
    changed.size === 0 ? [] : [{ _tag: "Subscribed", subscriptions: [...changed.values()] }]
  return decided({ _tag: "SubscriptionsMade", results }, events)
}

export const unsubscribe = (state: SessionState, command: Unsubscribe): SessionDecision => {
  const gone = new Set<string>()
  const results = command.filters.map((filter) => {
    const existed = state.subscriptions.has(filter) && !gone.has(filter)
    if (existed) gone.add(filter)
    return { filter, existed }
  })
  const events: ReadonlyArray<SessionEvent> = gone.size === 0 ? [] : [{ _tag: "Unsubscribed", filters: [...gone] }]
  return decided({ _tag: "SubscriptionsEnded", results }, events)
}

/** There are no more of them than packet ids. How many a client may have under way is told to its connection. */
export const receiveQos2 = (state: SessionState, { packetId }: ReceiveQos2): SessionDecision =>
  state.unreleasedQos2.has(packetId)
    ? decided({ _tag: "Qos2Remembered", duplicate: true })
    : decided({ _tag: "Qos2Remembered", duplicate: false }, [{ _tag: "Qos2Received", packetId }])

export const releaseQos2 = (state: SessionState, { packetId }: ReleaseQos2): SessionDecision =>
  state.unreleasedQos2.has(packetId)
    ? decided({ _tag: "Qos2Freed", known: true }, [{ _tag: "Qos2Released", packetId }])
    : decided({ _tag: "Qos2Freed", known: false })

/**
 * Messages in flight count as queued: they may have to be sent again. A message may have been on its
 * way here while the session ended or began anew: then it is not for this session, unless the session has become one that ends with
 * its connection. If it is by a shared subscription, it is for another member. So is a stream's record if the connection has gone, for
 * which its group has chosen this session.
 */
export const enqueue = (
  settings: SessionSettings,
  state: SessionState,
  { messages, baseOffset = 0, isWhole }: Enqueue,
  nowMs: number,
  roomBytes: number
): SessionDecision => {
  const isHere = state.name !== "Absent" && state.subscriptions.size > 0
  const isAway = state.life.connectionId === null
  const accepted: Array<MessageRef> = []
  const released: Array<MessageRef> = []
  const dropped: Array<DroppedMessage> = []
  // As `readStream` has it: whoever keeps what is refused as a whole asks again with the very same.
  const isAnySize = isWhole === true && state.queue.size === 0
  let bytes = state.queuedBytes
  let leftBytes = roomBytes
  const entryIds = messages.map((message) => {
    const { share } = message
    const isOthers = share !== undefined && (!state.subscriptions.has(share) || (isAway && isOfStreamShare(message)))
    if (!isHere && !isOthers) return null
    const weight = weightOfQueued(message)
    const count = isOthers ? state.released.length + released.length : state.queue.size + accepted.length
    const limit =
      exceededBy(settings, count + 1, isOthers || isAnySize ? 0 : bytes + message.bytes) ??
      (weight > leftBytes ? "memoryBytesMax" : undefined)
    if (limit !== undefined) {
      dropped.push({ logId: message.logId, offset: baseOffset + message.offset, limit })
      return null
    }
    if (!isOthers) bytes += message.bytes
    leftBytes -= weight
    const placed = baseOffset === 0 ? message : { ...message, offset: baseOffset + message.offset }
    if (!isOthers) return state.nextEntryId + accepted.push(placed) - 1
    released.push(placed)
    return null
  })
  if (isWhole === true && dropped.length > 0) return refuse("QuotaExceeded")
  return enqueued(state, entryIds, { accepted, released, dropped }, nowMs)
}

interface Sorted {
  readonly accepted: ReadonlyArray<MessageRef>
  readonly released: ReadonlyArray<MessageRef>
  readonly dropped: ReadonlyArray<DroppedMessage>
}

const enqueued = (
  state: SessionState,
  entryIds: ReadonlyArray<number | null>,
  { accepted, released, dropped }: Sorted,
  nowMs: number
): SessionDecision => {
  const firstEntryId = state.nextEntryId
  const events: Array<SessionEvent> = []
  const signals: Array<Signal<typeof SessionKind>> = [...delivery(state, accepted)]
  const { clientId } = state
  const { startedAtMs } = state.life
  if (accepted.length > 0) events.push({ _tag: "MessagesQueued", firstEntryId, messages: accepted })
  if (released.length > 0) {
    const { event, notice } = release(state, [], released)
    events.push(event)
    signals.push(notify(notice), repeatIn(nowMs))
  }
  // No event: what is refused is no part of the state, and one for each would be as many as there are messages.
  if (dropped.length > 0) signals.push(notify({ _tag: "QueueFull", clientId, startedAtMs, messages: dropped }))
  return decided({ _tag: "Enqueued", entryIds }, events, signals)
}

/** Only what was not sent: the rest may be with the client. */
export const releaseShared = (state: SessionState, { share }: ReleaseShared, nowMs: number): SessionDecision => {
  if (state.life.connectionId !== null) return decided(done)
  const entryIds: Array<number> = []
  for (const entry of state.queue.values()) {
    if (entry.share === share && entry.phase === "queued") entryIds.push(entry.entryId)
  }
  if (entryIds.length === 0) return decided(done)
  const { event, notice } = release(state, entryIds)
  return decided(done, [event], [notify(notice), repeatIn(nowMs)])
}

/**
 * The records of a stream are never dropped: they wait in the stream while the queue has no room. An empty queue takes them whatever
 * their size is, or one that is too large would wait for ever.
 */
export const readStream = (
  settings: SessionSettings,
  state: SessionState,
  { filter, topicId, messages, positions }: ReadStream,
  roomBytes: number
): SessionDecision => {
  const isThere = state.subscriptions.get(filter)?.stream !== undefined
  if (!isThere || !hasRoomFor(settings, state, messages, roomBytes)) {
    return decided({ _tag: "StreamRead", isTaken: false })
  }
  const events: Array<SessionEvent> = []
  const firstEntryId = state.nextEntryId
  if (messages.length > 0) events.push({ _tag: "MessagesQueued", firstEntryId, messages })
  if (positions.length > 0) events.push({ _tag: "StreamPositionMoved", filter, topicId, positions })
  return decided({ _tag: "StreamRead", isTaken: true }, events, delivery(state, messages))
}

const hasRoomFor = (
  settings: SessionSettings,
  { queue, queuedBytes }: SessionState,
  messages: ReadonlyArray<MessageRef>,
  roomBytes: number
): boolean => {
  // Positions alone need no room, also where the queue is fuller than it may be.
  if (messages.length === 0) return true
  let bytes = queuedBytes
  let weight = 0
  for (const message of messages) {
    bytes += message.bytes
    weight += weightOfQueued(message)
  }
  if (weight > roomBytes) return false
  const limit = exceededBy(settings, queue.size + messages.length, bytes)
  return limit === undefined || (queue.size === 0 && limit === "offlineQueueBytesMax")
}

/** Messages that are new at the end of the queue, for the connection that there is. */
const delivery = (
  { clientId, life: { connectionId }, nextEntryId }: SessionState,
  messages: ReadonlyArray<MessageRef>
): ReadonlyArray<ReturnType<typeof notify>> => {
  if (messages.length === 0 || connectionId === null) return []
  const entries = messages.map((message, i) => queueEntry(message, nextEntryId + i))
  return [notify({ _tag: "Deliver", clientId, connectionId, entries })]
}

const exceededBy = (settings: SessionSettings, messages: number, bytes: number): QueueLimit | undefined => {
  if (messages > settings.offlineQueueMessagesMax) return "offlineQueueMessagesMax"
  return bytes > settings.offlineQueueBytesMax ? "offlineQueueBytesMax" : undefined
}

export const countDropped = ({ name, life }: SessionState, command: CountDropped): SessionDecision => {
  if (name === "Absent" || life.startedAtMs !== command.startedAtMs) return decided(done)
  const { count, limits, logId, ranges } = command
  return decided(done, [{ _tag: "MessagesDropped", count, reason: "QueueFull", limits, logId, ranges }])
}

export const markSent = (state: SessionState, { entries }: MarkSent): SessionDecision => {
  const entryIds = new Set<number>()
  const packetIds = new Set<number>()
  for (const { entryId, packetId } of entries) {
    const entry = state.queue.get(entryId)
    if (entry?.phase !== "queued" || entryIds.has(entryId)) return refuse("PacketIdentifierNotFound")
    entryIds.add(entryId)
    if ((packetId === null) !== (entry.qos === 0)) return refuse("PacketIdentifierNotFound")
    if (packetId === null) continue
    const isValid = Number.isInteger(packetId) && packetId > 0 && packetId <= packetIdMax
    if (!isValid) return refuse("PacketIdentifierNotFound")
    if (state.inflight.has(packetId) || packetIds.has(packetId)) return refuse("PacketIdentifierInUse")
    packetIds.add(packetId)
  }
  return decided(done, entries.length === 0 ? [] : [{ _tag: "MessagesSent", entries }])
}

export const ack = (state: SessionState, command: Acked): SessionDecision => {
  const gone = new Set<number>()
  const known = command.packetIds.map((packetId) => {
    const isKnown = state.inflight.has(packetId) && !gone.has(packetId)
    if (isKnown) gone.add(packetId)
    return isKnown
  })
  const events: ReadonlyArray<SessionEvent> = gone.size === 0 ? [] : [{ _tag: "MessagesAcked", packetIds: [...gone] }]
  return decided({ _tag: "PacketsKnown", known }, events)
}

export const receive = (state: SessionState, command: Received): SessionDecision => {
  const changed = new Set<number>()
  const known = command.packetIds.map((packetId) => {
    const entryId = state.inflight.get(packetId)
    const entry = entryId === undefined ? undefined : state.queue.get(entryId)
    if (entry?.qos !== 2) return false
    if (entry.phase === "sent") changed.add(packetId)
    return true
  })
  const events: ReadonlyArray<SessionEvent> =
    changed.size === 0 ? [] : [{ _tag: "MessagesReceived", packetIds: [...changed] }]
  return decided({ _tag: "PacketsKnown", known }, events)
}
