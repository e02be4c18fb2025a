import { apply, decisionOf, done, type Draft, isAbsent, type SessionDecision } from "./sessionDraft.ts"
import type {
  CloseConnection,
  Connect,
  ConnectionSettings,
  Disconnect,
  Kick,
  LoseConnection,
  SessionDisconnected,
  SessionEnded,
  SessionOpened
} from "./SessionProtocol.ts"

const publishWill = (draft: Draft): void => {
  const { will } = draft.life
  if (will === null) return
  apply(draft, { _tag: "WillPublished", topic: will.topic })
  draft.notices.push({ _tag: "PublishWill", clientId: draft.state.clientId, will })
}

/** A will that still waits is published now, since the session ends first (MQTT 5, 3.1.2.5). */
const endSession = (draft: Draft, cause: SessionEnded["cause"]): void => {
  publishWill(draft)
  apply(draft, { _tag: "SessionEnded", cause })
}

/** What the time that has passed demands of a session without a connection, if anything. */
const settleDue = (draft: Draft): void => {
  const { expiresAtMs, willAtMs } = draft.life
  if (expiresAtMs !== null && expiresAtMs <= draft.nowMs) endSession(draft, "Expired")
  else if (willAtMs !== null && willAtMs <= draft.nowMs) publishWill(draft)
}

const askToClose = (draft: Draft, reason: CloseConnection["reason"]): void => {
  const { clientId, life } = draft.state
  const { connectionId } = life
  if (connectionId !== null) draft.notices.push({ _tag: "CloseConnection", clientId, connectionId, reason })
}

export const connect = (draft: Draft, command: Connect): SessionDecision => {
  const { state, nowMs } = draft
  if (draft.life.connectionId !== null) {
    // [MQTT-3.1.4-3]
    askToClose(draft, "SessionTakenOver")
    apply(draft, { _tag: "SessionTakenOver", by: command.connectionId, atMs: nowMs })
  }
  // Before the clean start, so that a session that is over already ends for that reason.
  settleDue(draft)
  if (command.cleanStart && !isAbsent(draft)) endSession(draft, "CleanStart")
  const sessionPresent = !isAbsent(draft)
  const { connectionId, sessionExpiryMs, will, keepAliveMs, protocolVersion } = command
  const settings: ConnectionSettings = { connectionId, sessionExpiryMs, will, keepAliveMs, protocolVersion }
  apply(draft, { _tag: sessionPresent ? "SessionResumed" : "SessionStarted", ...settings, atMs: nowMs })
  const reply: SessionOpened = {
    _tag: "SessionOpened",
    sessionPresent,
    subscriptions: sessionPresent ? [...state.subscriptions.values()] : [],
    unreleasedQos2: sessionPresent ? [...state.unreleasedQos2] : [],
    queue: sessionPresent ? [...state.queue.values()] : []
  }
  return decisionOf(draft, reply)
}

const close = (
  draft: Draft,
  cause: SessionDisconnected["cause"],
  sessionExpiryMs: number,
  keepsWill: boolean
): void => {
  const { connectionId } = draft.life
  if (connectionId === null) return
  apply(draft, {
    _tag: "SessionDisconnected",
    connectionId,
    cause,
    sessionExpiryMs,
    keepsWill,
    atMs: draft.nowMs
  })
}

export const disconnect = (draft: Draft, command: Disconnect): SessionDecision => {
  const { connectionId, sessionExpiryMs: grantedMs } = draft.life
  if (connectionId !== command.connectionId) return decisionOf(draft, done)
  const sessionExpiryMs = grantedMs === 0 ? 0 : (command.sessionExpiryMs ?? grantedMs)
  close(draft, "Closed", sessionExpiryMs, command.publishWill)
  settleDue(draft)
  return decisionOf(draft, done)
}

export const kick = (draft: Draft, { endSession: ends }: Kick): SessionDecision => {
  askToClose(draft, "AdministrativeAction")
  close(draft, "Kicked", draft.life.sessionExpiryMs, true)
  if (ends && !isAbsent(draft)) endSession(draft, "Kicked")
  else settleDue(draft)
  return decisionOf(draft, done)
}

export const loseConnection = (draft: Draft, command: LoseConnection): SessionDecision => {
  if (draft.life.connectionId !== command.connectionId) return decisionOf(draft, done)
  askToClose(draft, "UnspecifiedError")
  close(draft, "Lost", draft.life.sessionExpiryMs, true)
  settleDue(draft)
  return decisionOf(draft, done)
}

/** A deadline that comes early, or comes for a time that has moved, is armed again by the decision. */
export const deadlineReached = (draft: Draft): SessionDecision => {
  settleDue(draft)
  return decisionOf(draft, done)
}
