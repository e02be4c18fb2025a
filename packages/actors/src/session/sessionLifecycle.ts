import { type RepeatIntents, repeatNoMore } from "@logbrook/core/actor/Outbox"
import {
  apply,
  decided,
  decisionOf,
  done,
  type Draft,
  isOfStreamShare,
  mayBe,
  refuse,
  release,
  type SessionDecision
} from "./sessionDraft.ts"
import type {
  CloseConnection,
  ConfirmHandedOn,
  ConfirmWill,
  Connect,
  ConnectionEnd,
  ConnectionSettings,
  Disconnect,
  Kick,
  LoseConnection,
  NoteWillStored,
  SessionDisconnected,
  SessionEnded,
  SessionEvent,
  SessionOpened
} from "./SessionProtocol.ts"
import type { SessionState } from "./sessionState.ts"

/** The most wills of one client that wait. There are so many only while nothing can be stored; then its CONNECTs are refused. */
const pendingWillsMax = 16

/** From now on it is pending, until its message is durable: the session may end meanwhile, and so may the server. */
const triggerWill = (draft: Draft): void => {
  const { clientId, life, pendingWills } = draft.state
  const { will } = life
  if (will === null) return
  const willId = (pendingWills.at(-1)?.willId ?? 0) + 1
  apply(draft, { _tag: "WillTriggered", willId, topic: will.topic })
  draft.notices.push({ _tag: "PublishWill", clientId, willId, will })
}

/**
 * Messages of shared subscriptions that the client has not acknowledged: other members get them, but for those of QoS 2 that it
 * was sent [MQTT-4.8.2-5].
 */
const releaseShared = (draft: Draft): void => {
  const { clientId, queue } = draft.state
  const entryIds: Array<number> = []
  let lost = 0
  for (const { entryId, share, isShared, qos, phase } of queue.values()) {
    if (phase === "received") continue
    const mayMove = qos < 2 || phase === "queued"
    if (share !== undefined && mayMove) entryIds.push(entryId)
    else if (share !== undefined || isShared === true) lost++
  }
  if (lost > 0) draft.notices.push({ _tag: "SharedLost", clientId, count: lost })
  if (entryIds.length === 0) return
  const { event, notice } = release(draft.state, entryIds)
  apply(draft, event)
  draft.notices.push(notice)
}

/**
 * The connection has gone: what a group has dealt out of a stream and the client was not sent is for the other members, also if it has
 * unsubscribed since. A session that has ended has released it already.
 */
const releaseUnsent = (draft: Draft): void => {
  const entryIds: Array<number> = []
  for (const entry of draft.state.queue.values()) {
    if (entry.phase === "queued" && isOfStreamShare(entry)) entryIds.push(entry.entryId)
  }
  if (entryIds.length === 0) return
  const { event, notice } = release(draft.state, entryIds)
  apply(draft, event)
  draft.notices.push(notice)
}

/** A will that still waits is published now, since the session ends first (MQTT 5, 3.1.2.5). */
const endSession = (draft: Draft, cause: SessionEnded["cause"]): void => {
  triggerWill(draft)
  releaseShared(draft)
  apply(draft, { _tag: "SessionEnded", cause })
}

/**
 * Does what a session without a connection has to do by `reachedMs`, if anything. `reachedMs` is the time of a
 * deadline, or when the connection was lost: never the time of day, which may have been set meanwhile.
 */
const carryOutDue = (draft: Draft, reachedMs: number): void => {
  const { expiresAtMs, willAtMs, sessionExpiryMs } = draft.state.life
  if (expiresAtMs !== null && expiresAtMs <= reachedMs) {
    endSession(draft, sessionExpiryMs === 0 ? "ConnectionClosed" : "Expired")
  } else if (willAtMs !== null && willAtMs <= reachedMs) triggerWill(draft)
}

const askToClose = (draft: Draft, reason: CloseConnection["reason"]): void => {
  const { clientId, life } = draft.state
  const { connectionId } = life
  if (connectionId !== null) draft.notices.push({ _tag: "CloseConnection", clientId, connectionId, reason })
}

/** The bytes that the session weighs more behind the decision. */
const growthOf = ({ before, state }: Draft): number =>
  state.lifeBytes + state.subscriptionsBytes - before.lifeBytes - before.subscriptionsBytes

/** `roomBytes`: a session that would grow by more is refused; one that comes back with no more than it had never is. */
export const connect = (draft: Draft, command: Connect, roomBytes: number): SessionDecision => {
  const { nowMs } = draft
  if (draft.before.pendingWills.length >= pendingWillsMax) return refuse("TooManyWills")
  if (mayBe(draft, "SessionTakenOver")) {
    // [MQTT-3.1.4-3]
    askToClose(draft, "SessionTakenOver")
    apply(draft, { _tag: "SessionTakenOver", by: command.connectionId, atMs: nowMs })
    // Before the clean start, so that a session that is over already ends for that reason.
    carryOutDue(draft, nowMs)
  }
  // Below another mount point its filters and messages are not the client's to have.
  const isOfAnother = command.mountPoint !== draft.state.life.mountPoint
  if ((command.cleanStart || isOfAnother) && mayBe(draft, "SessionEnded")) endSession(draft, "CleanStart")
  const sessionPresent = mayBe(draft, "SessionResumed")
  const { connectionId, sessionExpiryMs, will, keepAliveMs, protocolVersion, mountPoint } = command
  const settings: ConnectionSettings = {
    connectionId,
    sessionExpiryMs,
    will,
    keepAliveMs,
    protocolVersion,
    ...(mountPoint !== undefined && { mountPoint })
  }
  apply(draft, { _tag: sessionPresent ? "SessionResumed" : "SessionStarted", ...settings, atMs: nowMs })
  const growthBytes = growthOf(draft)
  if (growthBytes > 0 && growthBytes > roomBytes) return refuse("QuotaExceeded")
  const { subscriptions, unreleasedQos2, queue } = draft.state
  const reply: SessionOpened = {
    _tag: "SessionOpened",
    sessionPresent,
    subscriptions: [...subscriptions.values()],
    unreleasedQos2: [...unreleasedQos2],
    queue: [...queue.values()]
  }
  return decisionOf(draft, reply)
}

const close = (
  draft: Draft,
  cause: SessionDisconnected["cause"],
  end: ConnectionEnd,
  sessionExpiryMs: number,
  keepsWill: boolean
): void => {
  const { connectionId } = draft.state.life
  if (connectionId === null || !mayBe(draft, "SessionDisconnected")) return
  apply(draft, {
    _tag: "SessionDisconnected",
    connectionId,
    end,
    cause,
    sessionExpiryMs,
    keepsWill,
    atMs: draft.nowMs
  })
}

export const disconnect = (draft: Draft, command: Disconnect): SessionDecision => {
  const { connectionId, sessionExpiryMs: grantedMs } = draft.state.life
  if (connectionId !== command.connectionId) return decisionOf(draft, done)
  const sessionExpiryMs = grantedMs === 0 ? 0 : (command.sessionExpiryMs ?? grantedMs)
  close(draft, "Closed", command.end, sessionExpiryMs, command.publishWill)
  carryOutDue(draft, draft.nowMs)
  releaseUnsent(draft)
  return decisionOf(draft, done)
}

export const kick = (draft: Draft, { endSession: ends }: Kick): SessionDecision => {
  const isConnected = mayBe(draft, "SessionDisconnected")
  askToClose(draft, "AdministrativeAction")
  close(draft, "Kicked", { by: "kick" }, draft.state.life.sessionExpiryMs, true)
  if (ends && mayBe(draft, "SessionEnded")) endSession(draft, "Kicked")
  else if (isConnected) {
    carryOutDue(draft, draft.nowMs)
    releaseUnsent(draft)
  }
  return decisionOf(draft, done)
}

export const loseConnection = (draft: Draft, command: LoseConnection): SessionDecision => {
  if (draft.state.life.connectionId !== command.connectionId) return decisionOf(draft, done)
  askToClose(draft, "UnspecifiedError")
  close(draft, "Lost", { by: "restart" }, draft.state.life.sessionExpiryMs, true)
  carryOutDue(draft, draft.nowMs)
  releaseUnsent(draft)
  return decisionOf(draft, done)
}

/** A deadline for a time that has moved changes nothing: the other one is armed. */
export const deadlineReached = (draft: Draft, atMs: number): SessionDecision => {
  carryOutDue(draft, atMs)
  return decisionOf(draft, done)
}

/** Of both outboxes, the wills and what is released. */
export const repeatIntents = (draft: Draft, { delayMs }: RepeatIntents): SessionDecision => {
  const { clientId, pendingWills, released } = draft.state
  for (const pending of pendingWills) draft.notices.push({ _tag: "PublishWill", clientId, ...pending })
  if (released.length > 0) draft.notices.push({ _tag: "HandOn", clientId, messages: released })
  return decisionOf(draft, done, delayMs)
}

export const confirmWill = (
  { pendingWills, released }: SessionState,
  { willId, refused }: ConfirmWill
): SessionDecision => {
  const pending = pendingWills.find((each) => each.willId === willId)
  if (pending === undefined || refused?.isFinal === false) return decided(done)
  const event: SessionEvent =
    refused === null
      ? { _tag: "WillPublished", willId, topic: pending.will.topic }
      : { _tag: "WillDropped", willId, reason: refused.reason }
  return decided(done, [event], pendingWills.length > 1 || released.length > 0 ? [] : [repeatNoMore])
}

export const confirmHandedOn = (
  { pendingWills, released }: SessionState,
  { releaseIds, to }: ConfirmHandedOn
): SessionDecision => {
  const known = releaseIds.filter((id) => released.some(({ releaseId }) => releaseId === id))
  if (known.length === 0) return decided(done)
  const hasMore = pendingWills.length > 0 || released.length > known.length
  return decided(done, [{ _tag: "SharedHandedOn", releaseIds: known, to }], hasMore ? [] : [repeatNoMore])
}

export const noteWillStored = ({ pendingWills }: SessionState, { willId }: NoteWillStored): SessionDecision => {
  const isNew = pendingWills.some((each) => each.willId === willId && each.isStored !== true)
  return decided(done, isNew ? [{ _tag: "WillStored", willId }] : [])
}
