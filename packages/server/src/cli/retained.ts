import * as Effect from "effect/Effect"
import { plainText } from "../plainText.ts"
import { exitCodes } from "./CliError.ts"
import { type FieldsOf, type PageMeta, listAll, pageLimit, pagePath, pathSegment, requestJson } from "./client.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { confirmed } from "./confirm.ts"
import { momentText, shortened } from "./eventText.ts"
import { bytesText, counted, fields, table, type Io, outJson } from "./Io.ts"
import { urlOf } from "./optionValues.ts"

interface RetainedSummary {
  readonly topic: string
  readonly bytes: number
  readonly qos: number
  readonly clientId: string
  readonly receivedAt: string
  readonly expiresAt: string | null
}

interface RetainedDetails extends RetainedSummary {
  readonly contentType: string | null
  readonly responseTopic: string | null
  /** This and the payload in base64. */
  readonly correlationData: string | null
  readonly payloadFormat: 0 | 1 | null
  readonly userProperties: ReadonlyArray<readonly [name: string, value: string]>
  readonly payload: string
}

const path = "/api/v1/retained"

const summaryFields = ["topic", "bytes", "qos", "clientId", "receivedAt", "expiresAt"] as const
const detailsFields: FieldsOf<RetainedDetails> = [
  ...summaryFields,
  "contentType",
  "responseTopic",
  "correlationData",
  "payloadFormat",
  "userProperties",
  "payload"
]

export const list: Run = (args, io) =>
  Effect.gen(function* () {
    const params = { filter: args.text("filter") }
    const messages = yield* listAll<RetainedSummary>(yield* urlOf(args, io), path, summaryFields, params)
    if (args.flag("json")) {
      outJson(io, messages, 2)
      return exitCodes.ok
    }
    table(
      io,
      ["TOPIC", "BYTES", "QOS", "CLIENT", "RECEIVED", "EXPIRES"],
      messages.map(({ topic, bytes, qos, clientId, receivedAt, expiresAt }) => [
        topic,
        String(bytes),
        String(qos),
        shortened(io, clientId),
        momentText(args, io, receivedAt),
        expiresAt === null ? "-" : momentText(args, io, expiresAt)
      ])
    )
    return exitCodes.ok
  })

const isText = (bytes: Buffer): boolean => {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

/** As text if it is UTF-8, else as hexadecimal digits. */
const payloadLines = (payload: Buffer): ReadonlyArray<string> =>
  isText(payload) ? payload.toString("utf8").split("\n").map(plainText) : [`hex ${payload.toString("hex")}`]

const printMessage = (args: Arguments, io: Io, message: RetainedDetails): void => {
  const { topic, bytes, qos, clientId, receivedAt, expiresAt, contentType, responseTopic, correlationData } = message
  const pairs: Array<readonly [string, string]> = [
    ["topic", topic],
    ["payload", bytesText(bytes)],
    ["QoS", String(qos)],
    ["client", clientId],
    ["received", momentText(args, io, receivedAt)],
    ["expires", expiresAt === null ? "never" : momentText(args, io, expiresAt)]
  ]
  if (contentType !== null) pairs.push(["content type", contentType])
  if (responseTopic !== null) pairs.push(["response topic", responseTopic])
  if (correlationData !== null) {
    pairs.push(["correlation data", `hex ${Buffer.from(correlationData, "base64").toString("hex")}`])
  }
  for (const [name, value] of message.userProperties) pairs.push(["user property", `${name}=${value}`])
  fields(io, pairs)
  io.out("")
  for (const line of payloadLines(Buffer.from(message.payload, "base64"))) io.out(line)
}

export const get: Run = (args, io) =>
  Effect.gen(function* () {
    const segment = yield* pathSegment(args.positionals[0]!)
    const message = yield* requestJson<RetainedDetails>(yield* urlOf(args, io), `${path}/${segment}`, detailsFields)
    if (args.flag("json")) outJson(io, message, 2)
    else printMessage(args, io, message)
    return exitCodes.ok
  })

interface Purged {
  readonly purged: number
  readonly meta: PageMeta
}

export const purge: Run = (args, io) =>
  Effect.gen(function* () {
    const filter = args.positionals[0]!
    if (!(yield* confirmed(args, io, `remove every retained message that ${filter} matches?`))) return exitCodes.failure
    const url = yield* urlOf(args, io)
    let purged = 0
    // Behind a topic that was purged its next message stays: so this ends, whatever is published meanwhile.
    for (let cursor: string | null = null; ;) {
      const at = pagePath(path, { filter }, cursor, pageLimit)
      const page: Purged = yield* requestJson<Purged>(url, at, ["purged", "meta"], "DELETE")
      purged += page.purged
      if (!page.meta.hasnext) break
      cursor = page.meta.cursor
    }
    if (args.flag("json")) outJson(io, { filter, purged })
    else io.out(plainText(`${filter}: removed ${counted(purged, "retained message")}`))
    return exitCodes.ok
  })
