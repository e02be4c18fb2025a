import type { SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"

/** A session as operators see it beside its subscriptions: a fold of its durable events, which changes in place. Times are Unix ms. */
export interface SessionFacts {
  isConnected: boolean
  protocolVersion: 3 | 4 | 5
  startedAtMs: number
  /** When the session got, or lost, its connection. */
  sinceMs: number
  sessionExpiryMs: number
  /** Undefined: no will, or none that can still be triggered. */
  willTopic: string | undefined
  /**
   * The messages in the queue, with those that were sent. A session that ends with its connection has in it what a group has dealt out of a
   * stream alone, also for the next two.
   */
  queued: number
  /** The messages that were sent and not acknowledged. */
  unacknowledged: number
  /** The messages that the queue had no room for, in this session's life. */
  dropped: number
}

export const factsOf = ({ name, life, queue, inflight, droppedMessages }: SessionState): SessionFacts => ({
  isConnected: name === "Connected",
  protocolVersion: life.protocolVersion,
  startedAtMs: life.startedAtMs,
  sinceMs: life.sinceMs,
  sessionExpiryMs: life.sessionExpiryMs,
  willTopic: life.will?.topic,
  queued: queue.size,
  unacknowledged: inflight.size,
  dropped: droppedMessages
})

/** The facts of a session that begins. */
export const firstFacts = ({
  protocolVersion,
  sessionExpiryMs,
  will,
  atMs
}: Extract<SessionEvent, { readonly _tag: "SessionStarted" }>): SessionFacts => ({
  isConnected: true,
  protocolVersion,
  startedAtMs: atMs,
  sinceMs: atMs,
  sessionExpiryMs,
  willTopic: will?.topic,
  queued: 0,
  unacknowledged: 0,
  dropped: 0
})

export const addFact = (facts: SessionFacts, event: SessionEvent): void => {
  switch (event._tag) {
    case "SessionResumed":
      facts.isConnected = true
      facts.protocolVersion = event.protocolVersion
      facts.sinceMs = event.atMs
      facts.sessionExpiryMs = event.sessionExpiryMs
      facts.willTopic = event.will?.topic
      return
    case "SessionTakenOver":
      facts.isConnected = false
      facts.sinceMs = event.atMs
      return
    case "SessionDisconnected":
      facts.isConnected = false
      facts.sinceMs = event.atMs
      facts.sessionExpiryMs = event.sessionExpiryMs
      if (!event.keepsWill) facts.willTopic = undefined
      return
    case "WillTriggered":
      facts.willTopic = undefined
      return
    case "WillPublished":
      // With a number it was triggered before; the session may have another will by now.
      if (event.willId === undefined) facts.willTopic = undefined
      return
    case "MessagesQueued":
      facts.queued += event.messages.length
      return
    case "MessagesSent":
      for (const { packetId } of event.entries) {
        if (packetId === null) facts.queued--
        else facts.unacknowledged++
      }
      return
    case "MessagesAcked":
      facts.queued -= event.packetIds.length
      facts.unacknowledged -= event.packetIds.length
      return
    case "SharedReleased":
      facts.queued -= event.entryIds.length
      return
    case "MessagesDropped":
      facts.dropped += event.count
      return
  }
}
