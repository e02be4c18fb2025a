import { randomUUID } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import type { Delivery, DeliveryProperties } from "@logbrook/protocols/mqtt/encodePublish"
import type { QoS } from "@logbrook/protocols/mqtt/Packet"
import { fitsString } from "@logbrook/protocols/mqtt/PacketWriter"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { plainText } from "../plainText.ts"
import { attempt } from "./attempt.ts"
import { type CliError, exitCodes, usageError, withCount } from "./CliError.ts"
import type { Listener } from "./clients/connecting.ts"
import { Ending } from "./clients/Ending.ts"
import { MqttClient, refusedBy } from "./clients/MqttClient.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { messagesOf } from "./input.ts"
import { bytesText, counted, note, type Io, outJson } from "./Io.ts"
import { choiceOption, durationOption, listenerOf, numberOption, pairsOption, timeoutOf } from "./optionValues.ts"

interface Plan {
  readonly listener: Listener
  readonly clientId: string
  readonly timeoutMs: number
  readonly message: Omit<Delivery, "payload">
  /** Undefined: stdin has the messages. */
  readonly payload: Buffer | undefined
  /** All of stdin is one message. */
  readonly isWhole: boolean
  readonly count: number
  readonly intervalMs: number
}

export const qosOf = (args: Arguments): Effect.Effect<QoS, CliError> =>
  Effect.map(choiceOption(args, "qos", ["0", "1", "2"], "1"), (text) => Number(text) as QoS)

export const clientIdOf = (args: Arguments): string => args.text("client-id") ?? `logbrook-cli-${randomUUID()}`

/** MQTT's strings have 65,535 bytes at most. */
export const throwIfTooLong = (texts: ReadonlyArray<string>): Effect.Effect<void, CliError> => {
  const long = texts.find((text) => !fitsString(text))
  if (long === undefined) return Effect.void
  return Effect.fail(usageError(`"${long.slice(0, 40)}…" is longer than MQTT's texts may be: 65,535 bytes`))
}

const propertiesOf = (args: Arguments): Effect.Effect<DeliveryProperties, CliError> =>
  Effect.gen(function* () {
    const expiryMs = yield* durationOption(args, "expiry")
    if (expiryMs !== undefined && (expiryMs === 0 || expiryMs % 1000 !== 0)) {
      return yield* Effect.fail(usageError("--expiry takes whole seconds, one at least", "--expiry 30s"))
    }
    const [contentType, responseTopic] = [args.text("content-type"), args.text("response-topic")]
    const correlation = args.text("correlation-data")
    const userProperties = yield* pairsOption(args, "property")
    yield* throwIfTooLong([contentType ?? "", responseTopic ?? "", correlation ?? "", ...userProperties.flat()])
    return {
      ...(args.flag("utf8") ? { payloadFormatIndicator: 1 } : {}),
      ...(expiryMs === undefined ? {} : { messageExpiryIntervalSeconds: expiryMs / 1000 }),
      ...(contentType === undefined ? {} : { contentType }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
      ...(correlation === undefined ? {} : { correlationData: Buffer.from(correlation) }),
      ...(userProperties.length === 0 ? {} : { userProperties })
    }
  })

const planOf = (args: Arguments, io: Io): Effect.Effect<Plan, CliError> =>
  Effect.gen(function* () {
    const [topic, text] = args.positionals as [string, string | undefined]
    if (topic === "" || /[+#]/.test(topic)) {
      return yield* Effect.fail(usageError(`"${topic}" is no topic to publish to`, "a topic has no + and no #"))
    }
    const [isWhole, isRepeated] = [args.flag("whole"), args.text("count") !== undefined]
    if (text === undefined ? isRepeated : isWhole) {
      const option = isWhole ? "--whole" : "--count"
      const rest = isWhole ? "reads the message from stdin" : "repeats a message of the command line"
      return yield* Effect.fail(usageError(`${option} ${rest}`, "logbrook publish --help"))
    }
    yield* throwIfTooLong([topic, clientIdOf(args)])
    const properties = yield* propertiesOf(args)
    return {
      listener: yield* listenerOf(args, io, "mqtt"),
      clientId: clientIdOf(args),
      timeoutMs: yield* timeoutOf(args),
      message: { topic, qos: yield* qosOf(args), retain: args.flag("retain"), properties },
      payload: text === undefined ? undefined : Buffer.from(text),
      isWhole,
      count: yield* numberOption(args, "count", 1, 1),
      intervalMs: (yield* durationOption(args, "interval")) ?? 0
    }
  })

interface Published {
  messages: number
  bytes: number
  /** Nobody subscribes to them, and no stream stores them, as the server says (not of QoS 0). */
  withoutReceivers: number
}

async function* payloadsOf({ payload, isWhole, count }: Plan, io: Io, ended: Promise<never>) {
  if (payload === undefined) yield* messagesOf(io, isWhole, ended)
  else for (let left = count; left > 0; left--) yield [payload]
}

/** Resolves once the server has acknowledged all, or has been sent all of QoS 0. */
const publishAll = async (plan: Plan, io: Io): Promise<Published> => {
  const { listener, clientId, timeoutMs, message, intervalMs } = plan
  const session = { clientId, timeoutMs, cleanStart: true, sessionExpirySeconds: 0, will: undefined } as const
  const client = await MqttClient.connect(listener, session)
  const published: Published = { messages: 0, bytes: 0, withoutReceivers: 0 }
  const pending = new Set<Promise<void>>()
  const ending = new Ending(client.ended)
  let failure: unknown
  let sent = 0
  const send = async (payload: Buffer): Promise<void> => {
    const what = `message ${++sent}`
    try {
      const { reasonCode, properties } = await client.publish({ ...message, payload })
      if (reasonCode >= ReasonCode.UnspecifiedError) throw refusedBy(what, reasonCode, properties)
      published.messages++
      published.bytes += payload.length
      if (reasonCode === ReasonCode.NoMatchingSubscribers) published.withoutReceivers++
    } catch (error) {
      failure ??= error
    }
  }
  const begin = (payload: Buffer): void => {
    const sending = send(payload).finally(() => pending.delete(sending))
    pending.add(sending)
  }
  try {
    for await (const payloads of payloadsOf(plan, io, client.ended)) {
      for (const payload of payloads) {
        await client.ready()
        if (failure !== undefined) throw failure
        begin(payload)
        if (intervalMs > 0) await ending.before(sleep(intervalMs, undefined, { ref: false }))
      }
    }
    await Promise.all(pending)
    if (failure !== undefined) throw failure
    // Nothing else tells whether the server took messages of QoS 0.
    if (message.qos === 0) await client.disconnect()
    else await client.leave()
    return published
  } catch (error) {
    await client.leave()
    throw withCount(error, message.qos === 0 ? 0 : published.messages, "message")
  }
}

/** Sends messages to a topic of a server, this one or any of MQTT 5. */
export const publish: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = yield* planOf(args, io)
    const { topic, qos } = plan.message
    const published = yield* attempt(() => publishAll(plan, io))
    const { messages, bytes, withoutReceivers } = published
    if (args.flag("json")) outJson(io, { topic, qos, ...published })
    else {
      const told = qos === 0 ? "sent, and acknowledged by nobody" : "acknowledged"
      io.out(plainText(`${topic}: ${counted(messages, "message")} of QoS ${qos}, ${bytesText(bytes)}, ${told}`))
    }
    if (withoutReceivers > 0) {
      note(
        io,
        `${counted(withoutReceivers, "message")} went nowhere: nobody subscribes, and no stream stores the topic`
      )
    }
    return exitCodes.ok
  })
