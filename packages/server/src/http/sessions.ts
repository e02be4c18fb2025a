import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import type { MqttBroker, Session } from "../mqtt/MqttBroker.ts"
import { isoTime } from "../tools/plain.ts"
import { answered } from "./asked.ts"
import { pageOf, type PageQuery } from "./paging.ts"
import { EndpointRefused } from "./refusals.ts"

export interface SessionQuery extends PageQuery {
  /** Only client ids that have this text in them. */
  readonly contains?: string | undefined
  readonly state?: "connected" | "disconnected" | undefined
}

const stateOf = ({ facts }: Session) => (facts.isConnected ? ("connected" as const) : ("disconnected" as const))

const summaryOf = (session: Session) => {
  const { clientId, facts, subscriptions, connection } = session
  const { isConnected, sinceMs, sessionExpiryMs } = facts
  return {
    clientId,
    state: stateOf(session),
    since: isoTime(sinceMs),
    protocolVersion: facts.protocolVersion,
    address: connection?.info.remoteAddress ?? null,
    sessionExpiryMs,
    expiresAt: isConnected ? null : isoTime(sinceMs + sessionExpiryMs),
    subscriptions: subscriptions.size,
    queued: facts.queued,
    unacknowledged: facts.unacknowledged,
    dropped: facts.dropped
  }
}

const detailsOf = (session: Session) => ({
  ...summaryOf(session),
  startedAt: isoTime(session.facts.startedAtMs),
  keepAliveMs: session.connection?.info.keepAliveMs ?? null,
  willTopic: session.facts.willTopic ?? null,
  filters: Array.from(
    session.subscriptions.values(),
    ({ filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId }) => ({
      filter,
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
      subscriptionId
    })
  )
})

function* selected({ directory }: MqttBroker, { contains = "", state }: SessionQuery): Iterable<string> {
  for (const session of directory.all()) {
    if (!session.clientId.includes(contains)) continue
    if (state === undefined || stateOf(session) === state) yield session.clientId
  }
}

export const listSessions = (mqtt: MqttBroker, query: SessionQuery) =>
  pageOf(selected(mqtt, query), query, (clientId) => summaryOf(mqtt.directory.get(clientId)!))

const found = ({ directory }: MqttBroker, clientId: string): Effect.Effect<Session, EndpointRefused> =>
  Effect.suspend(() => {
    const session = directory.get(clientId)
    if (session !== undefined) return Effect.succeed(session)
    return new EndpointRefused({ code: "UNKNOWN_SESSION", message: `no client named "${clientId}" has a session` })
  })

export const getSession = (mqtt: MqttBroker, clientId: string) => Effect.map(found(mqtt, clientId), detailsOf)

/** Ends the client's connection; `endSession`: and its session, connected or not. */
export const kickSession = (broker: Broker, mqtt: MqttBroker, clientId: string, endSession: boolean) =>
  Effect.gen(function* () {
    const session = yield* found(mqtt, clientId)
    const { isConnected } = session.facts
    const what = endSession ? "http DELETE /sessions" : "http DELETE /sessions/connection"
    yield* answered(broker, what, "the session cannot answer: try again", (origin) =>
      Effect.async<void>((resume) => {
        const isThere = mqtt.kick(clientId, origin, endSession, (exit) => resume(Effect.orDie(Effect.asVoid(exit))))
        if (!isThere) resume(Effect.void)
      })
    )
    return { wasConnected: isConnected, sessionEnded: mqtt.directory.get(clientId) !== session }
  })
