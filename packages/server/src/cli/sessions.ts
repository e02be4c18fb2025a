import * as Effect from "effect/Effect"
import { exitCodes, usageError, type CliError } from "./CliError.ts"
import { type FieldsOf, listAll, pathSegment, requestJson } from "./client.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { momentText, shortened } from "./eventText.ts"
import { durationText, fields, table, type Io, outJson } from "./Io.ts"
import { urlOf } from "./optionValues.ts"
import { plainText } from "../plainText.ts"

interface SessionSummary {
  readonly clientId: string
  readonly state: "connected" | "disconnected"
  readonly since: string
  readonly protocolVersion: 3 | 4 | 5
  readonly address: string | null
  readonly sessionExpiryMs: number
  readonly expiresAt: string | null
  readonly subscriptions: number
  readonly queued: number
  readonly unacknowledged: number
  readonly dropped: number
}

interface SessionDetails extends SessionSummary {
  readonly startedAt: string
  readonly keepAliveMs: number | null
  readonly willTopic: string | null
  readonly filters: ReadonlyArray<{
    readonly filter: string
    readonly qos: number
    readonly noLocal: boolean
    readonly retainAsPublished: boolean
    readonly retainHandling: number
    readonly subscriptionId: number | null
  }>
}

const summaryFields = [
  "clientId",
  "state",
  "since",
  "protocolVersion",
  "address",
  "sessionExpiryMs",
  "expiresAt",
  "subscriptions",
  "queued",
  "dropped"
] as const
const detailsFields: FieldsOf<SessionDetails> = [
  ...summaryFields,
  "unacknowledged",
  "startedAt",
  "keepAliveMs",
  "willTopic",
  "filters"
]

const versions = { 3: "3.1", 4: "3.1.1", 5: "5.0" } as const

const pathOf = (clientId: string): Effect.Effect<string, CliError> =>
  Effect.map(pathSegment(clientId), (segment) => `/api/v1/sessions/${segment}`)

const stateOption = (args: Arguments): Effect.Effect<string | undefined, CliError> => {
  const state = args.text("state")
  if (state === undefined || state === "connected" || state === "disconnected") return Effect.succeed(state)
  return Effect.fail(usageError(`--state takes connected or disconnected, not "${state}"`))
}

export const list: Run = (args, io) =>
  Effect.gen(function* () {
    const params = { contains: args.text("contains"), state: yield* stateOption(args) }
    const sessions = yield* listAll<SessionSummary>(yield* urlOf(args, io), "/api/v1/sessions", summaryFields, params)
    if (args.flag("json")) {
      outJson(io, sessions, 2)
      return exitCodes.ok
    }
    table(
      io,
      ["CLIENT", "STATE", "SINCE", "MQTT", "ADDRESS", "EXPIRES", "SUBSCRIPTIONS", "QUEUED", "DROPPED"],
      sessions.map((session) => [
        shortened(io, session.clientId),
        session.state,
        momentText(args, io, session.since),
        versions[session.protocolVersion],
        session.address ?? "-",
        session.expiresAt === null ? "-" : momentText(args, io, session.expiresAt),
        ...[session.subscriptions, session.queued, session.dropped].map(String)
      ])
    )
    return exitCodes.ok
  })

/** How long the session outlives its connection. */
const expiryText = (args: Arguments, io: Io, { sessionExpiryMs, expiresAt }: SessionDetails): string => {
  if (expiresAt !== null) return momentText(args, io, expiresAt)
  return sessionExpiryMs === 0 ? "with its connection" : `${durationText(sessionExpiryMs)} after its connection`
}

const keepAliveText = (keepAliveMs: number): string => (keepAliveMs === 0 ? "none" : durationText(keepAliveMs))

const printSession = (args: Arguments, io: Io, session: SessionDetails): void => {
  const { state, since, address, keepAliveMs, willTopic, queued, unacknowledged } = session
  fields(io, [
    ["client", session.clientId],
    ["state", `${state} since ${momentText(args, io, since)}`],
    ["MQTT", versions[session.protocolVersion]],
    ...(address === null ? [] : ([["address", address]] as const)),
    ...(keepAliveMs === null ? [] : ([["keep alive", keepAliveText(keepAliveMs)]] as const)),
    ["started", momentText(args, io, session.startedAt)],
    ["expires", expiryText(args, io, session)],
    ...(willTopic === null ? [] : ([["will", `on ${willTopic}`]] as const)),
    ["queued", `${queued}, ${unacknowledged} of them sent and not acknowledged`],
    ["dropped", String(session.dropped)]
  ])
  io.out("")
  table(
    io,
    ["FILTER", "QOS", "NO LOCAL", "RETAIN AS PUBLISHED", "RETAIN HANDLING", "ID"],
    session.filters.map(({ filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId }) => [
      filter,
      String(qos),
      noLocal ? "yes" : "no",
      retainAsPublished ? "yes" : "no",
      String(retainHandling),
      String(subscriptionId ?? "-")
    ])
  )
}

export const describe: Run = (args, io) =>
  Effect.gen(function* () {
    const path = yield* pathOf(args.positionals[0]!)
    const session = yield* requestJson<SessionDetails>(yield* urlOf(args, io), path, detailsFields)
    if (args.flag("json")) outJson(io, session, 2)
    else printSession(args, io, session)
    return exitCodes.ok
  })

interface Kicked {
  readonly wasConnected: boolean
  readonly sessionEnded: boolean
}

const kickedText = (clientId: string, { wasConnected, sessionEnded }: Kicked): string => {
  const connection = wasConnected ? `${clientId}: the connection was ended` : `${clientId} was not connected`
  return `${connection}, ${sessionEnded ? "the session is forgotten" : "the session stays"}`
}

export const kick: Run = (args, io) =>
  Effect.gen(function* () {
    const clientId = args.positionals[0]!
    const forget = args.flag("forget")
    // A connection can be made again; what a session had is lost.
    const question = `forget the session of ${clientId}, its subscriptions and its queue?`
    if (forget && !(yield* confirmed(args, io, question))) return exitCodes.failure
    const session = yield* pathOf(clientId)
    const path = forget ? session : `${session}/connection`
    const kicked = yield* requestJson<Kicked>(yield* urlOf(args, io), path, ["wasConnected", "sessionEnded"], "DELETE")
    if (args.flag("json")) outJson(io, { clientId, ...kicked })
    else io.out(plainText(kickedText(clientId, kicked)))
    return exitCodes.ok
  })
