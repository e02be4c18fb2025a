import type { Definition, Signal, Weight } from "@logbrook/core/actor/Definition"
import { repeatAt } from "@logbrook/core/actor/Outbox"
import { type Room, unbounded } from "@logbrook/core/memory/MemoryAccount"
import { deadlines, draftOf, refuse, type SessionDecision } from "./sessionDraft.ts"
import {
  confirmHandedOn,
  confirmWill,
  connect,
  deadlineReached,
  disconnect,
  kick,
  loseConnection,
  noteWillStored,
  repeatIntents
} from "./sessionLifecycle.ts"
import { absentLife } from "./sessionMachine.ts"
import { defaultSessionSettings, type SessionCommand, SessionKind, type SessionSettings } from "./SessionProtocol.ts"
import {
  evolveSession,
  initialSession,
  loadSession,
  type SavedSession,
  saveSession,
  type SessionState,
  SessionStates,
  upcastSession
} from "./sessionState.ts"
import {
  ack,
  countDropped,
  enqueue,
  markSent,
  readStream,
  receive,
  receiveQos2,
  releaseQos2,
  releaseShared,
  subscribe,
  unsubscribe
} from "./sessionTraffic.ts"
import { packetIdsBytes, sessionBytes } from "./sessionWeight.ts"

export type SessionDefinition = Definition<typeof SessionKind, SessionState>

type LifecycleCommand = Extract<
  SessionCommand,
  {
    readonly _tag:
      | "Connect"
      | "Disconnect"
      | "Kick"
      | "Expire"
      | "WillDue"
      | "RepeatIntents"
      | "ConfirmWill"
      | "NoteWillStored"
      | "ConfirmHandedOn"
      | "LoseConnection"
  }
>

type TrafficCommand = Exclude<
  SessionCommand,
  LifecycleCommand | { readonly _tag: "Enqueue" | "CountDropped" | "ReleaseShared" }
>

const decideTraffic = (
  settings: SessionSettings,
  state: SessionState,
  command: TrafficCommand,
  room: Room
): SessionDecision => {
  if (command.connectionId !== state.life.connectionId) return refuse("SessionTakenOver")
  switch (command._tag) {
    case "Subscribe":
      return subscribe(settings, state, command, room("sessions"))
    case "Unsubscribe":
      return unsubscribe(state, command)
    case "ReadStream":
      return readStream(settings, state, command, room("queues"))
    case "ReceiveQos2":
      return receiveQos2(state, command)
    case "ReleaseQos2":
      return releaseQos2(state, command)
    case "MarkSent":
      return markSent(state, command)
    case "Acked":
      return ack(state, command)
    case "Received":
      return receive(state, command)
  }
}

const decide = (
  settings: SessionSettings,
  state: SessionState,
  command: SessionCommand,
  nowMs: number,
  room: Room
): SessionDecision => {
  switch (command._tag) {
    case "Connect":
      return connect(draftOf(state, nowMs), command, room("sessions"))
    case "Disconnect":
      return disconnect(draftOf(state, nowMs), command)
    case "Kick":
      return kick(draftOf(state, nowMs), command)
    case "LoseConnection":
      return loseConnection(draftOf(state, nowMs), command)
    case "Expire":
    case "WillDue":
      return deadlineReached(draftOf(state, nowMs), command.atMs)
    case "RepeatIntents":
      return repeatIntents(draftOf(state, nowMs), command)
    case "ConfirmWill":
      return confirmWill(state, command)
    case "NoteWillStored":
      return noteWillStored(state, command)
    case "ConfirmHandedOn":
      return confirmHandedOn(state, command)
    case "Enqueue":
      return enqueue(settings, state, command, nowMs, room("queues"))
    case "ReleaseShared":
      return releaseShared(state, command, nowMs)
    case "CountDropped":
      return countDropped(state, command)
    default:
      return decideTraffic(settings, state, command, room)
  }
}

/** After a replay no connection is the session's: a Connected one is to be disconnected at once, as if it had broken. */
const resume = (
  { life, pendingWills, released }: SessionState,
  nowMs: number
): ReadonlyArray<Signal<typeof SessionKind>> => {
  const { connectionId } = life
  const intents = pendingWills.length === 0 && released.length === 0 ? [] : [repeatAt(nowMs)]
  if (connectionId === null) return [...deadlines(absentLife, life), ...intents]
  const command: SessionCommand = { _tag: "LoseConnection", connectionId }
  return [{ _tag: "SetDeadline", key: "connection", atMs: nowMs, command }, ...intents]
}

/** The memory that an actor takes beside its state, in bytes. */
const perActor = 600

const weights: ReadonlyArray<Weight<SessionState>> = [
  {
    holder: "sessions",
    perActor,
    bytesOf: ({ lifeBytes, subscriptionsBytes, unreleasedQos2 }) =>
      lifeBytes + subscriptionsBytes + packetIdsBytes * unreleasedQos2.words
  },
  { holder: "queues", perActor: 0, bytesOf: ({ queueBytes }) => queueBytes },
  {
    holder: "connections",
    perActor: 0,
    bytesOf: ({ name, life }) => (name === "Absent" || life.sessionExpiryMs > 0 ? 0 : sessionBytes)
  }
]

/** The session of one MQTT client, `session/<clientId>` (MQTT 5, 4.1). */
export const makeSession = (settings: SessionSettings = defaultSessionSettings): SessionDefinition => ({
  kind: SessionKind.name,
  // Since 2, and in states since 3, there may be a mount point. A server that does not know it would give the client of another one
  // the session.
  version: 2,
  states: SessionStates,
  // Before 2, the packet ids of QoS 2 were saved in the order in which they had come.
  stateVersion: 4,
  upcastState: upcastSession,
  initial: initialSession,
  decide: (state, command, nowMs, room = unbounded) => decide(settings, state, command, nowMs, room),
  evolve: evolveSession,
  resume,
  save: saveSession,
  load: (id, saved) => loadSession(id, saved as SavedSession),
  weights,
  isEmpty: ({ name, pendingWills, released }) => name === "Absent" && pendingWills.length === 0 && released.length === 0
})
