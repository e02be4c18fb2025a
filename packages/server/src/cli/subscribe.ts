import * as Effect from "effect/Effect"
import type { Delivered } from "@logbrook/protocols/mqtt/decodeServer"
import type { QoS, UserProperties, Will } from "@logbrook/protocols/mqtt/Packet"
import { attempt } from "./attempt.ts"
import { CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"
import { Patience, type Listener } from "./clients/connecting.ts"
import { MqttClient } from "./clients/MqttClient.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { counted, note, type Io } from "./Io.ts"
import { durationOption, listenerOf, numberOption, timeoutOf } from "./optionValues.ts"
import { clientIdOf, qosOf, throwIfTooLong } from "./publish.ts"
import { columns, printerOf, type Print } from "./records.ts"
import type { ShownRecord } from "./ShownRecord.ts"
import { interrupted } from "./signals.ts"

interface Plan {
  readonly listener: Listener
  readonly clientId: string
  readonly timeoutMs: number
  readonly filters: ReadonlyArray<string>
  readonly qos: QoS
  readonly retained: boolean
  /** For the streams that are read. */
  readonly options: UserProperties
  /** Every filter is of a stream that tells the end of its history; behind the last of these ends the command ends. */
  readonly isHistory: boolean
  readonly countMax: number
  /** Undefined: for ever. */
  readonly idleMs: number | undefined
  readonly sessionMs: number
  readonly will: Will | undefined
}

const isOfStream = (filter: string): boolean => /^(\$share\/[^/]+\/)?\$stream\//.test(filter)

/** An empty history says nothing at its end. */
const historyIdleMs = 5_000

const streamOptions = (args: Arguments, filters: ReadonlyArray<string>): Effect.Effect<UserProperties, CliError> => {
  const given = ["from", "until", "reset", "wait"].filter((name) => args.text(name) !== undefined || args.flag(name))
  const other = filters.find((filter) => !isOfStream(filter))
  if (given.length > 0 && other !== undefined) {
    const hint = "in single quotes, so that the shell leaves the $: '$stream/NAME'"
    return Effect.fail(usageError(`--${given[0]} is of streams, and "${other}" is none`, hint))
  }
  const [from, until] = [args.text("from"), args.text("until")]
  return Effect.succeed([
    ...(from === undefined ? [] : [["stream-offset", from] as const]),
    ...(until === undefined ? [] : [["stream-until", until] as const]),
    ...(args.flag("reset") ? [["stream-reset", "1"] as const] : []),
    ...(args.flag("wait") ? [["stream-wait", "1"] as const] : [])
  ])
}

const willOf = (args: Arguments): Effect.Effect<Will | undefined, CliError> => {
  const [topic, message] = [args.text("will-topic"), args.text("will-message")]
  if (topic === undefined && message === undefined) return Effect.succeed(undefined)
  if (topic === undefined) return Effect.fail(usageError("--will-message needs --will-topic"))
  return Effect.map(throwIfTooLong([topic, message ?? ""]), () => ({
    topic,
    payload: Buffer.from(message ?? ""),
    qos: 1,
    retain: false,
    properties: {}
  }))
}

const planOf = (args: Arguments, io: Io): Effect.Effect<Plan, CliError> =>
  Effect.gen(function* () {
    // A filter that is given twice is one subscription.
    const filters = [...new Set(args.positionals)]
    const options = yield* streamOptions(args, filters)
    const clientId = clientIdOf(args)
    yield* throwIfTooLong([...filters, clientId, ...options.flat()])
    const sessionMs = (yield* durationOption(args, "session")) ?? 0
    if (sessionMs > 0 && args.text("client-id") === undefined) {
      return yield* Effect.fail(usageError("--session needs --client-id", "a session goes on under the client's id"))
    }
    const isHistory = args.text("until") !== undefined
    return {
      listener: yield* listenerOf(args, io, "mqtt"),
      clientId,
      timeoutMs: yield* timeoutOf(args),
      filters,
      qos: yield* qosOf(args),
      retained: !args.flag("no-retained"),
      options,
      isHistory,
      countMax: yield* numberOption(args, "count", 1, Infinity),
      idleMs: (yield* durationOption(args, "idle")) ?? (isHistory ? historyIdleMs : undefined),
      sessionMs,
      will: yield* willOf(args)
    }
  })

const placeNames = ["stream", "partition", "offset", "ts"]
const binarySuffix = ";base64"

/** The server tells a record's place behind the publisher's own user properties, which may have any names. */
const placeOf = (properties: UserProperties) => {
  let at = properties.length - placeNames.length
  while (at >= 0 && placeNames.some((name, i) => properties[at + i]![0] !== name)) at--
  if (at < 0) return undefined
  const [partition, offset, timestampUs] = [1, 2, 3].map((i) => Number(properties[at + i]![1])) as [
    number,
    number,
    number
  ]
  const told = properties.slice(at + placeNames.length)
  const key = told.find(([name]) => name === "key" || name === `key${binarySuffix}`)
  const encoding = key?.[0] === "key" ? "utf8" : "base64"
  return {
    own: properties.slice(0, at),
    partition,
    offset,
    timestampMs: Math.floor(timestampUs / 1000),
    key: key === undefined ? null : Buffer.from(key[1], encoding),
    isCaughtUp: told.some(([name]) => name === "stream-caught-up"),
    gap: told.find(([name]) => name === "stream-gap")?.[1]
  }
}

/** As it is shown; `receivedMs` is its time where the server tells none. */
export const shownMessage = ({ topic, payload, qos, retain, properties }: Delivered, receivedMs: number) => {
  const { userProperties = [], contentType, responseTopic, correlationData } = properties
  const place = placeOf(userProperties)
  const record: ShownRecord = {
    topic,
    partition: place?.partition,
    offset: place?.offset,
    timestampMs: place?.timestampMs ?? receivedMs,
    key: place?.key ?? null,
    value: payload,
    headers: (place?.own ?? userProperties).map(([name, text]) => [name, Buffer.from(text)]),
    more: {
      qos,
      retain,
      ...(contentType === undefined ? {} : { contentType }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
      ...(correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData).toString("base64") })
    }
  }
  return { record, isCaughtUp: place?.isCaughtUp === true, gap: place?.gap }
}

/** How it ended, beside failures. */
type End = "count" | "history" | "idle" | "interrupted"

/** Of the filter at this place: MQTT has no identifier 0. */
const identifierOf = (at: number): number => at + 1

/** Prints messages until there are enough. */
class Subscriber {
  readonly #io: Io
  readonly #plan: Plan
  readonly #print: Print
  readonly #ended = Promise.withResolvers<End>()
  #idle: Patience | undefined
  #client: MqttClient | undefined
  #isOver = false
  /** The subscription identifiers whose history has begun, and those whose history has ended. */
  readonly #begun = new Set<number>()
  readonly #caughtUp = new Set<number>()
  count = 0

  constructor(io: Io, plan: Plan, print: Print) {
    this.#io = io
    this.#plan = plan
    this.#print = print
  }

  /** The filters of which something has come, and not the end of their history. */
  get unfinished(): ReadonlyArray<string> {
    const isUnfinished = (id: number): boolean => this.#begun.has(id) && !this.#caughtUp.has(id)
    return this.#plan.filters.filter((_, at) => isUnfinished(identifierOf(at)))
  }

  async run(): Promise<End> {
    const { listener, clientId, timeoutMs, sessionMs, will, idleMs } = this.#plan
    const stop = interrupted()
    try {
      this.#client = await MqttClient.connect(
        listener,
        { clientId, timeoutMs, will, cleanStart: sessionMs === 0, sessionExpirySeconds: Math.ceil(sessionMs / 1000) },
        { onMessage: (message) => this.#took(message), kept: () => this.#printed() }
      )
      await this.#subscribe(this.#client)
      if (idleMs !== undefined) this.#idle = new Patience(idleMs, () => this.#end("idle"))
      const client = this.#client
      void client.settled.then(() => this.#idle?.begin())
      // The end waits until all that was printed is acknowledged, unless somebody does not want that.
      const ended = this.#ended.promise.then((end) => client.settled.then(() => end))
      const isInterrupted = stop.first.then((): End => "interrupted")
      return await Promise.race([ended, isInterrupted, client.ended])
    } finally {
      this.#idle?.close()
      stop.ignore()
      this.#isOver = true
      await this.#client?.leave()
    }
  }

  /** A message tells the identifier of its SUBSCRIBE: so each history has one of its own. Not every server takes identifiers. */
  async #subscribe(client: MqttClient): Promise<void> {
    const { filters, qos, retained, options: userProperties, isHistory } = this.#plan
    const retainHandling = retained ? 0 : 2
    const subscriptions = filters.map(
      (filter) => ({ filter, qos, noLocal: false, retainAsPublished: true, retainHandling }) as const
    )
    if (!isHistory) {
      await client.subscribe(subscriptions, { userProperties })
      return
    }
    for (const [at, subscription] of subscriptions.entries()) {
      await client.subscribe([subscription], { userProperties, subscriptionIdentifier: identifierOf(at) })
    }
  }

  #end(end: End): void {
    this.#isOver = true
    this.#ended.resolve(end)
  }

  /** False: it is too many. */
  #took(message: Delivered): boolean {
    if (this.#isOver) return false
    const { record, isCaughtUp, gap } = shownMessage(message, Date.now())
    if (gap !== undefined)
      note(this.#io, `${gap} records before offset ${record.offset} were gone before they were read`)
    this.#print(record)
    this.count++
    const { countMax, isHistory, filters } = this.#plan
    for (const id of message.properties.subscriptionIdentifiers ?? [])
      (isCaughtUp ? this.#caughtUp : this.#begun).add(id)
    if (this.count === countMax) this.#end("count")
    else if (isHistory && this.#caughtUp.size === filters.length) this.#end("history")
    return true
  }

  /** While stdout stands still nothing can come, so that nothing is idle. */
  #printed(): Promise<void> | undefined {
    const flushed = this.#io.flushed()
    if (flushed === undefined) {
      this.#idle?.begin()
      return undefined
    }
    this.#idle?.end()
    return flushed.then(() => this.#idle?.begin())
  }
}

const exitOf = (end: End, { count, unfinished }: Subscriber, { countMax, idleMs, isHistory }: Plan): ExitCode => {
  if (end === "interrupted") return exitCodes.interrupted
  if (end !== "idle") return exitCodes.ok
  const silence = `none for ${idleMs! / 1000} s`
  if (isHistory) {
    // There may be fewer in a history than were asked for, or nothing that would tell its end.
    if (unfinished.length === 0) return exitCodes.ok
    const text = `${counted(count, "message")} came, and ${silence}: not all that ${unfinished.join(" and ")} had`
    throw new CliError(exitCodes.failure, "E_INCOMPLETE", text, "--idle DURATION waits longer for the next one")
  }
  if (countMax === Infinity) return exitCodes.ok
  const text = `${counted(count, "message")} of ${countMax} came, and ${silence}`
  throw new CliError(exitCodes.failure, "E_TOO_FEW", text)
}

/** Shows what is published to some filters of a server, or what its streams have. */
export const subscribe: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = yield* planOf(args, io)
    const print = yield* printerOf(args, io, plan.filters.some(isOfStream) ? columns.stream : columns.messages)
    return yield* attempt(async () => {
      const subscriber = new Subscriber(io, plan, print)
      return exitOf(await subscriber.run(), subscriber, plan)
    })
  })
