import { decided, done, notify, refuse, type SessionDecision } from "./sessionDraft.ts"
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
  ReleaseQos2,
  SessionEvent,
  SessionNotice,
  SessionSettings,
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
  a.subscriptionId === b.subscriptionId

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
  for (const subscription of command.subscriptions) {
    const { filter, qos } = subscription
    const isNew = !state.subscriptions.has(filter) && !changed.has(filter)
    const bytes = isNew ? weightOfSubscription(subscription) : 0
    if (isNew && (size >= settings.subscriptionsPerSessionMax || bytes > leftBytes)) {
      results.push({ filter, grantedQos: null, isNew: false })
      continue
    }
    if (isNew) size++
    leftBytes -= bytes
    if (!isSame(changed.get(filter) ?? state.subscriptions.get(filter), subscription)) changed.set(filter, subscription)
    results.push({ filter, grantedQos: qos, isNew })
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
 * Messages in flight count as queued: they may have to be sent again. A message may have been on its way here while
 * the session ended or began anew: then it is not for this session, unless the session has become one that ends with
 * its connection.
 */
export const enqueue = (
  settings: SessionSettings,
  state: SessionState,
  { messages, baseOffset = 0 }: Enqueue,
  roomBytes: number
): SessionDecision => {
  if (state.name === "Absent" || state.subscriptions.size === 0) {
    return decided({ _tag: "Enqueued", entryIds: messages.map(() => null) })
  }
  const accepted: Array<MessageRef> = []
  const dropped: Array<DroppedMessage> = []
  let bytes = state.queuedBytes
  let leftBytes = roomBytes
  const entryIds = messages.map((message) => {
    const weight = weightOfQueued(message)
    const limit =
      exceededBy(settings, state.queue.size + accepted.length + 1, bytes + message.bytes) ??
      (weight > leftBytes ? "memoryBytesMax" : undefined)
    if (limit !== undefined) {
      dropped.push({ logId: message.logId, offset: baseOffset + message.offset, limit })
      return null
    }
    bytes += message.bytes
    leftBytes -= weight
    const placed = baseOffset === 0 ? message : { ...message, offset: baseOffset + message.offset }
    return state.nextEntryId + accepted.push(placed) - 1
  })
  const firstEntryId = state.nextEntryId
  const events: Array<SessionEvent> = []
  const notices: Array<SessionNotice> = []
  const { clientId } = state
  const { connectionId, startedAtMs } = state.life
  if (accepted.length > 0) events.push({ _tag: "MessagesQueued", firstEntryId, messages: accepted })
  if (accepted.length > 0 && connectionId !== null) {
    const entries = accepted.map((message, i) => queueEntry(message, firstEntryId + i))
    notices.push({ _tag: "Deliver", clientId, connectionId, entries })
  }
  // No event: what is refused is no part of the state, and one for each would be as many as there are messages.
  if (dropped.length > 0) notices.push({ _tag: "QueueFull", clientId, startedAtMs, messages: dropped })
  return decided({ _tag: "Enqueued", entryIds }, events, notices.map(notify))
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
