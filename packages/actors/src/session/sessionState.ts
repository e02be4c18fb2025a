import { type ActorId, nameOf } from "@logbrook/core/actor/Definition"
import { states } from "@logbrook/core/actor/States"
import { PacketIds } from "@logbrook/core/PacketIds"
import {
  absentLife,
  absentLifecycle,
  type Lifecycle,
  nextLifecycle,
  ownWill,
  type SessionLife
} from "./sessionMachine.ts"
import { loadSubscriptions, type SavedSubscriptions, saveSubscriptions } from "./savedSubscriptions.ts"
import { SubscriptionSet } from "./SubscriptionSet.ts"
import { weightOfLife, weightOfQueued, weightOfSubscription } from "./sessionWeight.ts"
import {
  type LifecycleEvent,
  type MessageRef,
  type MessagesQueued,
  type MessagesSent,
  type QueueEntry,
  type ReleasedMessage,
  type SessionEvent,
  SessionKind,
  type SharedHandedOn,
  type SharedReleased,
  type StreamPositionMoved,
  type Subscription,
  type TrafficEvent,
  type Will
} from "./SessionProtocol.ts"

/**
 * Maps and sets belong to the newest state and change in place: a copy of a full queue per message would cost more
 * than all else. An empty one may be shared by all sessions and is replaced on its first entry.
 */
export interface SessionState extends Lifecycle {
  readonly clientId: string
  readonly subscriptions: SubscriptionSet
  /** The client's packet ids that wait for PUBREL. */
  readonly unreleasedQos2: PacketIds
  /** By entry id, in order. */
  readonly queue: Map<number, QueueEntry>
  /** Entry ids by the packet ids that they were given. */
  readonly inflight: Map<number, number>
  /** Shared subscriptions' messages that other members are to have, of sessions that have ended as well. */
  readonly released: ReadonlyArray<ReleasedMessage>
  readonly queuedBytes: number
  readonly nextEntryId: number
  /** In this session's life. */
  readonly droppedMessages: number
  /** Triggered, their messages not durable yet: of sessions that have ended as well. */
  readonly pendingWills: ReadonlyArray<PendingWill>
  /** This and the next two: what `sessionWeight.ts` says of the life with all wills, the subscriptions, the queue with what is released. Not saved. */
  readonly lifeBytes: number
  readonly subscriptionsBytes: number
  readonly queueBytes: number
}

export const SessionStates = states<SessionState>()(SessionKind)

export interface PendingWill {
  /** Rises in the list; given anew once the list was empty. */
  readonly willId: number
  readonly will: Will
  /** Its streams have the message already. */
  readonly isStored?: true
}

const nothingReleased: ReadonlyArray<ReleasedMessage> = []
const noWills: ReadonlyArray<PendingWill> = []
const noSubscriptions = SubscriptionSet.of([])
const noPacketIds = new PacketIds()
const noEntries: Map<number, QueueEntry> = new Map()
const noInflight: Map<number, number> = new Map()

const sumOf = <T>(all: ReadonlyArray<T>, of: (each: T) => number): number =>
  all.reduce((sum, each) => sum + of(each), 0)

const absent = (
  clientId: string,
  pendingWills: ReadonlyArray<PendingWill> = noWills,
  released: ReadonlyArray<ReleasedMessage> = nothingReleased
): SessionState => ({
  clientId,
  ...absentLifecycle,
  subscriptions: noSubscriptions,
  unreleasedQos2: noPacketIds,
  queue: noEntries,
  inflight: noInflight,
  released,
  queuedBytes: 0,
  nextEntryId: 0,
  droppedMessages: 0,
  pendingWills,
  lifeBytes: weightOfLife(absentLife, pendingWills),
  subscriptionsBytes: 0,
  queueBytes: sumOf(released, weightOfQueued)
})

export const initialSession = (id: ActorId): SessionState => absent(nameOf(id))

export const queueEntry = (message: MessageRef, entryId: number): QueueEntry => ({
  entryId,
  logId: message.logId,
  offset: message.offset,
  qos: message.qos,
  retain: message.retain,
  subscriptionIds: message.subscriptionIds,
  bytes: message.bytes,
  ...(message.share !== undefined && { share: message.share }),
  ...(message.isShared && { isShared: true }),
  ...(message.stream && { stream: message.stream }),
  packetId: null,
  phase: "queued"
})

export const releasedMessage = (message: MessageRef, releaseId: number): ReleasedMessage => {
  const { logId, offset, qos, retain, subscriptionIds, bytes, share, stream } = message
  if (share === undefined) throw new Error("the journal releases a message of no shared subscription")
  return { releaseId, logId, offset, qos, retain, subscriptionIds, bytes, share, ...(stream && { stream }) }
}

const ownMap = <K, V>(map: Map<K, V>): Map<K, V> => (map.size === 0 ? new Map() : map)

const ownSet = (set: SubscriptionSet): SubscriptionSet => (set.size === 0 ? set.copy() : set)

const queued = (state: SessionState, { firstEntryId, messages }: MessagesQueued): SessionState => {
  const queue = ownMap(state.queue)
  let { queuedBytes, queueBytes } = state
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i]!
    queue.set(firstEntryId + i, queueEntry(message, firstEntryId + i))
    queuedBytes += message.bytes
    queueBytes += weightOfQueued(message)
  }
  return { ...state, queue, queuedBytes, queueBytes, nextEntryId: firstEntryId + messages.length }
}

/** A partition that has none yet is read from its beginning. */
const moved = (state: SessionState, { filter, topicId, positions }: StreamPositionMoved): SessionState => {
  const subscription = state.subscriptions.get(filter)
  const stream = subscription?.stream
  if (subscription === undefined || stream === undefined) {
    throw new Error("the journal names a subscription of a stream that the session does not have")
  }
  const next = stream.topicId === topicId ? [...stream.positions] : []
  for (const [partition, offset] of positions) {
    while (next.length < partition) next.push(0)
    next[partition] = offset
  }
  state.subscriptions.set({ ...subscription, stream: { ...stream, topicId, positions: next } })
  return state
}

const knownEntry = (queue: SessionState["queue"], entryId: number | undefined): QueueEntry => {
  const entry = entryId === undefined ? undefined : queue.get(entryId)
  if (entry === undefined) throw new Error("the journal names an entry that the queue does not hold")
  return entry
}

const sent = (state: SessionState, entries: MessagesSent["entries"]): SessionState => {
  const { queue } = state
  const inflight = ownMap(state.inflight)
  let { queuedBytes, queueBytes } = state
  for (const { entryId, packetId } of entries) {
    const entry = knownEntry(queue, entryId)
    if (packetId === null) {
      queue.delete(entryId)
      queuedBytes -= entry.bytes
      queueBytes -= weightOfQueued(entry)
    } else {
      queue.set(entryId, { ...entry, packetId, phase: "sent" })
      inflight.set(packetId, entryId)
    }
  }
  return { ...state, inflight, queuedBytes, queueBytes }
}

const acked = (state: SessionState, packetIds: ReadonlyArray<number>): SessionState => {
  let { queuedBytes, queueBytes } = state
  for (const packetId of packetIds) {
    const entry = knownEntry(state.queue, state.inflight.get(packetId))
    state.inflight.delete(packetId)
    state.queue.delete(entry.entryId)
    queuedBytes -= entry.bytes
    queueBytes -= weightOfQueued(entry)
  }
  return { ...state, queuedBytes, queueBytes }
}

const received = (state: SessionState, packetIds: ReadonlyArray<number>): SessionState => {
  for (const packetId of packetIds) {
    const entry = knownEntry(state.queue, state.inflight.get(packetId))
    state.queue.set(entry.entryId, { ...entry, phase: "received" })
  }
  return state
}

/** The messages that the event releases, under the ids that they get. */
export const releasedBy = (
  { queue }: Pick<SessionState, "queue">,
  { firstReleaseId, entryIds, messages }: SharedReleased
): ReadonlyArray<ReleasedMessage> =>
  [...entryIds.map((entryId) => knownEntry(queue, entryId)), ...messages].map((message, i) =>
    releasedMessage(message, firstReleaseId + i)
  )

/** Changes nothing in place, as `evolveLifecycle`: it may be decided with a session's end. */
export const evolveReleased = (state: SessionState, event: SharedReleased): SessionState => {
  const { entryIds, messages } = event
  const released = [...state.released, ...releasedBy(state, event)]
  const queueBytes = state.queueBytes + sumOf(messages, weightOfQueued)
  if (entryIds.length === 0) return { ...state, released, queueBytes }
  const queue = new Map(state.queue)
  const inflight = new Map(state.inflight)
  let { queuedBytes } = state
  for (const entryId of entryIds) {
    const { packetId, bytes } = knownEntry(queue, entryId)
    queue.delete(entryId)
    queuedBytes -= bytes
    if (packetId !== null) inflight.delete(packetId)
  }
  return { ...state, queue, inflight, released, queuedBytes, queueBytes }
}

const handedOn = (state: SessionState, { releaseIds }: SharedHandedOn): SessionState => {
  const gone = new Set(releaseIds)
  const left = state.released.filter(({ releaseId }) => !gone.has(releaseId))
  const those = state.released.filter(({ releaseId }) => gone.has(releaseId))
  return {
    ...state,
    released: left.length === 0 ? nothingReleased : left,
    queueBytes: state.queueBytes - sumOf(those, weightOfQueued)
  }
}

const evolveTraffic = (state: SessionState, event: TrafficEvent): SessionState => {
  switch (event._tag) {
    case "Subscribed": {
      const subscriptions = ownSet(state.subscriptions)
      let { subscriptionsBytes } = state
      for (const subscription of event.subscriptions) {
        const { filter } = subscription
        if (!subscriptions.has(filter)) subscriptionsBytes += weightOfSubscription(subscription)
      }
      subscriptions.setAll(event.subscriptions)
      return { ...state, subscriptions, subscriptionsBytes }
    }
    case "Unsubscribed": {
      let { subscriptionsBytes } = state
      for (const filter of event.filters) {
        if (state.subscriptions.delete(filter)) subscriptionsBytes -= weightOfSubscription({ filter })
      }
      return { ...state, subscriptionsBytes }
    }
    case "Qos2Received": {
      const unreleasedQos2 = state.unreleasedQos2.size === 0 ? new PacketIds() : state.unreleasedQos2
      return { ...state, unreleasedQos2: unreleasedQos2.add(event.packetId) }
    }
    case "Qos2Released":
      state.unreleasedQos2.delete(event.packetId)
      return state
    case "MessagesQueued":
      return queued(state, event)
    case "StreamPositionMoved":
      return moved(state, event)
    case "MessagesDropped":
      return { ...state, droppedMessages: state.droppedMessages + event.count }
    case "MessagesSent":
      return sent(state, event.entries)
    case "MessagesAcked":
      return acked(state, event.packetIds)
    case "MessagesReceived":
      return received(state, event.packetIds)
  }
}

/** Changes nothing in place: what the state had before stays as it was. */
export const evolveLifecycle = (state: SessionState, event: LifecycleEvent): SessionState => {
  const next = nextLifecycle(state, event)
  if (next.name === "Absent") return absent(state.clientId, state.pendingWills, state.released)
  const { will } = state.life
  const pendingWills =
    event._tag === "WillTriggered" && will !== null
      ? [...state.pendingWills, { willId: event.willId, will }]
      : state.pendingWills
  const lifeBytes = weightOfLife(next.life, pendingWills)
  return { ...state, name: next.name, life: next.life, pendingWills, lifeBytes }
}

const withoutWill = (state: SessionState, willId: number): SessionState => {
  const left = state.pendingWills.filter((pending) => pending.willId !== willId)
  const lifeBytes = weightOfLife(state.life, left)
  return { ...state, pendingWills: left.length === 0 ? noWills : left, lifeBytes }
}

const withStoredWill = (state: SessionState, willId: number): SessionState => ({
  ...state,
  pendingWills: state.pendingWills.map((each) => (each.willId === willId ? { ...each, isStored: true } : each))
})

export const evolveSession = (state: SessionState, event: SessionEvent): SessionState => {
  switch (event._tag) {
    case "SessionStarted":
    case "SessionResumed":
    case "SessionTakenOver":
    case "SessionDisconnected":
    case "SessionEnded":
    case "WillTriggered":
      return evolveLifecycle(state, event)
    case "WillPublished":
      return event.willId === undefined ? evolveLifecycle(state, event) : withoutWill(state, event.willId)
    case "WillStored":
      return withStoredWill(state, event.willId)
    case "WillDropped":
      return withoutWill(state, event.willId)
    case "SharedReleased":
      return evolveReleased(state, event)
    case "SharedHandedOn":
      return handedOn(state, event)
    default:
      if (state.name === "Absent") throw new Error(`the journal holds ${event._tag} of a session that is absent`)
      return evolveTraffic(state, event)
  }
}

export interface SavedSession extends Lifecycle {
  readonly subscriptions: ReadonlyArray<SavedSubscriptions>
  readonly unreleasedQos2: ReadonlyArray<number>
  readonly queue: ReadonlyArray<QueueEntry>
  readonly nextEntryId: number
  readonly droppedMessages: number
  /** Left out if there are none, as in snapshots and hashes of older versions. */
  readonly pendingWills?: ReadonlyArray<PendingWill>
  /** Likewise. */
  readonly released?: ReadonlyArray<ReleasedMessage>
}

export const saveSession = (state: SessionState): SavedSession => ({
  name: state.name,
  life: state.life,
  subscriptions: saveSubscriptions(state.subscriptions.values()),
  unreleasedQos2: [...state.unreleasedQos2],
  queue: [...state.queue.values()],
  nextEntryId: state.nextEntryId,
  droppedMessages: state.droppedMessages,
  ...(state.pendingWills.length > 0 && { pendingWills: state.pendingWills }),
  ...(state.released.length > 0 && { released: state.released })
})

/** Before version 4, subscriptions were saved one by one. */
export const upcastSession = (saved: unknown): SavedSession => {
  const { name, life, subscriptions, ...rest } = saved as SavedSession & {
    readonly subscriptions: ReadonlyArray<Subscription>
  }
  return { name, life, subscriptions: saveSubscriptions(subscriptions), ...rest }
}

/** As `connected` makes one: what is decoded takes half as much again. */
const loadLife = (saved: SessionLife): SessionLife => {
  const { connectionId, protocolVersion, keepAliveMs, sessionExpiryMs, startedAtMs, sinceMs, expiresAtMs } = saved
  const { will, willAtMs, mountPoint } = saved
  return {
    connectionId,
    protocolVersion,
    keepAliveMs,
    sessionExpiryMs,
    startedAtMs,
    sinceMs,
    expiresAtMs,
    will: will && ownWill(will),
    willAtMs,
    ...(mountPoint !== undefined && { mountPoint })
  }
}

export const loadSession = (id: ActorId, saved: SavedSession): SessionState => {
  const { name, life, unreleasedQos2, queue, nextEntryId, droppedMessages, pendingWills } = saved
  const subscriptions = loadSubscriptions(saved.subscriptions)
  const released = saved.released ?? nothingReleased
  let inflight = noInflight
  let queuedBytes = 0
  let queueBytes = sumOf(released, weightOfQueued)
  for (const entry of queue) {
    if (entry.packetId !== null) inflight = ownMap(inflight).set(entry.packetId, entry.entryId)
    queuedBytes += entry.bytes
    queueBytes += weightOfQueued(entry)
  }
  return {
    clientId: nameOf(id),
    name,
    life: loadLife(life),
    subscriptions: subscriptions.length === 0 ? noSubscriptions : SubscriptionSet.of(subscriptions),
    unreleasedQos2: unreleasedQos2.length === 0 ? noPacketIds : PacketIds.of(unreleasedQos2),
    queue: queue.length === 0 ? noEntries : new Map(queue.map((entry) => [entry.entryId, entry])),
    inflight,
    released,
    queuedBytes,
    nextEntryId,
    droppedMessages,
    pendingWills: pendingWills?.map((each) => ({ ...each, will: ownWill(each.will) })) ?? noWills,
    lifeBytes: weightOfLife(life, pendingWills ?? noWills),
    subscriptionsBytes: subscriptions.reduce((sum, each) => sum + weightOfSubscription(each), 0),
    queueBytes
  }
}
