import { assign, setup } from "xstate"
import type { ConnectionId, ConnectionSettings, LifecycleEvent, Will } from "./SessionProtocol.ts"

export type SessionStateName = "Absent" | "Connected" | "Disconnected"

/** The state of a session's lifecycle: its connection, and what happens when that is gone. Times are in Unix ms. */
export interface SessionLife {
  /** null unless Connected. */
  readonly connectionId: ConnectionId | null
  readonly protocolVersion: 3 | 4 | 5
  readonly keepAliveMs: number
  readonly sessionExpiryMs: number
  readonly startedAtMs: number
  /** When the session got, or lost, its connection. */
  readonly sinceMs: number
  /** null unless Disconnected. */
  readonly expiresAtMs: number | null
  /** null: none, published, or discarded. */
  readonly will: Will | null
  /** When a will that waits is due; null unless Disconnected. */
  readonly willAtMs: number | null
  /** See `ConnectionSettings`. */
  readonly mountPoint?: string
}

export const absentLife: SessionLife = {
  connectionId: null,
  protocolVersion: 5,
  keepAliveMs: 0,
  sessionExpiryMs: 0,
  startedAtMs: 0,
  sinceMs: 0,
  expiresAtMs: null,
  will: null,
  willAtMs: null
}

/** With bytes of its own: those of a replayed event or a loaded state are views into a buffer that is not ours. */
export const ownWill = (will: Will): Will => ({
  ...will,
  payload: new Uint8Array(will.payload),
  correlationData: will.correlationData && new Uint8Array(will.correlationData)
})

const connected = (settings: ConnectionSettings, startedAtMs: number, sinceMs: number): SessionLife => ({
  connectionId: settings.connectionId,
  protocolVersion: settings.protocolVersion,
  keepAliveMs: settings.keepAliveMs,
  sessionExpiryMs: settings.sessionExpiryMs,
  startedAtMs,
  sinceMs,
  expiresAtMs: null,
  will: settings.will && ownWill(settings.will),
  willAtMs: null,
  ...(settings.mountPoint !== undefined && { mountPoint: settings.mountPoint })
})

const disconnected = (life: SessionLife, sessionExpiryMs: number, will: Will | null, atMs: number): SessionLife => ({
  ...life,
  connectionId: null,
  sessionExpiryMs,
  sinceMs: atMs,
  expiresAtMs: atMs + sessionExpiryMs,
  will,
  willAtMs: will && atMs + will.delayMs
})

export const foldLife = (life: SessionLife, event: LifecycleEvent): SessionLife => {
  switch (event._tag) {
    case "SessionStarted":
      return connected(event, event.atMs, event.atMs)
    case "SessionResumed":
      return connected(event, life.startedAtMs, event.atMs)
    case "SessionTakenOver":
      return disconnected(life, life.sessionExpiryMs, life.will, event.atMs)
    case "SessionDisconnected":
      return disconnected(life, event.sessionExpiryMs, event.keepsWill ? life.will : null, event.atMs)
    case "WillTriggered":
    case "WillPublished":
      return { ...life, will: null, willAtMs: null }
    case "SessionEnded":
      return absentLife
  }
}

/** A journal event as xstate wants it: the same, with its tag as `type` too. */
type Typed<E> = E extends { readonly _tag: infer Tag } ? E & { readonly type: Tag } : never

/**
 * The life of a session (MQTT 5, 3.1.2.11.2 and 4.1). Machine events are journal events; the only action folds.
 *
 * | State | What it does | Where it goes |
 * |---|---|---|
 * | Absent | remembers nothing; takes no traffic | `SessionStarted` → Connected |
 * | Connected | serves one connection, holds its will; queues only if durable | the connection closed, was kicked or lost: `SessionDisconnected`; another one came: `SessionTakenOver` → Disconnected |
 * | Disconnected | queues; waits for its expiry and its will's delay, either may be 0; `WillTriggered` when the will is due or the session ends | `SessionResumed` → Connected, a waiting will is discarded; expiry, clean start, operator: `SessionEnded` → Absent |
 *
 * A takeover passes through Disconnected within one commit. A triggered will is no longer the lifecycle's: it stays in
 * `SessionState.pendingWills`, also of a session that is Absent, until its message is durable.
 */
export const sessionMachine = setup({
  types: { context: {} as SessionLife, events: {} as Typed<LifecycleEvent> },
  actions: {
    fold: assign(({ context, event }) => foldLife(context, event))
  }
}).createMachine({
  id: "session",
  initial: "Absent",
  context: absentLife,
  states: {
    Absent: {
      on: { SessionStarted: { target: "Connected", actions: "fold" } }
    },
    Connected: {
      on: {
        SessionDisconnected: { target: "Disconnected", actions: "fold" },
        SessionTakenOver: { target: "Disconnected", actions: "fold" }
      }
    },
    Disconnected: {
      on: {
        SessionResumed: { target: "Connected", actions: "fold" },
        WillTriggered: { actions: "fold" },
        WillPublished: { actions: "fold" },
        SessionEnded: { target: "Absent", actions: "fold" }
      }
    }
  }
})

/** Where a session is in its life. */
export interface Lifecycle {
  readonly name: SessionStateName
  readonly life: SessionLife
}

export const absentLifecycle: Lifecycle = { name: "Absent", life: absentLife }

/**
 * Where an event leads from a state; undefined: the state does not take it. No transition has a guard, and the only action folds, so
 * this is the whole machine, read once: a step of xstate's takes more than ten µs, and a start has two for each session.
 */
const targetsOf = (name: SessionStateName): ReadonlyMap<string, SessionStateName> =>
  new Map(
    Object.entries(sessionMachine.states[name]!.on).map(([tag, [transition]]) => [
      tag,
      (transition?.target?.[0]?.key ?? name) as SessionStateName
    ])
  )

const targets: Readonly<Record<SessionStateName, ReadonlyMap<string, SessionStateName>>> = {
  Absent: targetsOf("Absent"),
  Connected: targetsOf("Connected"),
  Disconnected: targetsOf("Disconnected")
}

/** Whether the state takes such an event. */
export const can = ({ name }: Lifecycle, tag: LifecycleEvent["_tag"]): boolean => targets[name].has(tag)

/** Takes the machine's step. Throws for an event that the state does not take. */
export const nextLifecycle = ({ name, life }: Lifecycle, event: LifecycleEvent): Lifecycle => {
  const next = targets[name].get(event._tag)
  if (next === undefined) throw new Error(`the journal holds ${event._tag} in a state that does not take it`)
  return { name: next, life: foldLife(life, event) }
}
