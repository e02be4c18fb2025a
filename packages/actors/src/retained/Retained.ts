import { isDeepStrictEqual } from "node:util"
import * as Data from "effect/Data"
import * as Exit from "effect/Exit"
import { type ActorId, type Decision, type Definition, nameOf, type Signal } from "@logbrook/core/actor/Definition"
import { type Address, address, kind } from "@logbrook/core/actor/Kind"
import { persistentStates } from "@logbrook/core/actor/States"
import { ownBytes, type Room, textBytes, unbounded } from "@logbrook/core/memory/MemoryAccount"
import { levelsOf } from "@logbrook/core/TopicFilter"

/** The newest message that was published to a topic with RETAIN set (MQTT 5, 3.3.1.3). */
export interface RetainedMessage {
  /** Never empty: an empty one removes what was retained [MQTT-3.3.1-6]. */
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly userProperties: ReadonlyArray<readonly [name: string, value: string]>
  readonly contentType: string | null
  readonly responseTopic: string | null
  readonly correlationData: Uint8Array | null
  readonly payloadFormat: 0 | 1 | null
  /** Unix ms; null: never. A reader leaves out what is past it, since the deadline may come late. */
  readonly expiryAtMs: number | null
  /** The publisher's client id. */
  readonly clientId: string
  /** When the server received it, Unix ms. */
  readonly timestampMs: number
}

export interface RetainedState {
  readonly topic: string
  readonly message: RetainedMessage | null
  /** See `retainedWeightOf`. Not saved. */
  readonly weightBytes: number
}

export type RetainedCommand =
  /** null, or an empty payload: removes. How many there may be is the shell's to say, which sees all topics (`RetainedIndex`). */
  | { readonly _tag: "SetRetained"; readonly message: RetainedMessage | null }
  /** Refused as `Changed` unless this message is what is retained: a condition for what follows in the same list. */
  | { readonly _tag: "Expect"; readonly message: RetainedMessage }
  /** Deadline: the message expires. */
  | { readonly _tag: "Expire" }

export type RetainedEvent =
  | { readonly _tag: "RetainedSet"; readonly message: RetainedMessage }
  | { readonly _tag: "RetainedCleared"; readonly cause: "Removed" | "Expired" }

export interface RetainedReply {
  readonly _tag: "Done"
}

/** `QuotaExceeded`: there is no memory for a message more, or for a larger one. */
export class RetainedRefused extends Data.TaggedError("RetainedRefused")<{
  readonly reason: "QuotaExceeded" | "Changed"
}> {}

export const RetainedKind = kind<{
  command: RetainedCommand
  replies: Readonly<Record<RetainedCommand["_tag"], RetainedReply>>
  failure: RetainedRefused
  event: RetainedEvent
  notice: never
}>()("retained")

export const RetainedStates = persistentStates<RetainedState>()(RetainedKind)

export const retainedActor = (topic: string): Address<typeof RetainedKind> => address(RetainedKind, topic)

type RetainedDecision = Decision<typeof RetainedKind>

const refuse = (reason: RetainedRefused["reason"]): RetainedDecision => ({
  events: [],
  reply: Exit.fail(new RetainedRefused({ reason })),
  signals: []
})

// Bytes of memory, measured by bench/memoryWeights.ts with the index that the shell derives from it.
const perActor = 600
const messageBytes = 300
const levelBytes = 280
const propertyBytes = 120

/** The topic twice: in the state, and level by level in the index. */
export const retainedWeightOf = (topic: string, message: RetainedMessage | null): number => {
  if (message === null) return 0
  const { payload, correlationData, contentType, responseTopic, clientId, userProperties } = message
  let bytes = messageBytes + levelBytes * levelsOf(topic).length + 2 * textBytes(topic) + ownBytes(payload)
  bytes += textBytes(contentType ?? "") + textBytes(responseTopic ?? "") + textBytes(clientId)
  if (correlationData !== null) bytes += ownBytes(correlationData)
  for (const [name, value] of userProperties) bytes += propertyBytes + textBytes(name) + textBytes(value)
  return bytes
}

/** A timer's longest delay is 2^31-1 ms, a message may live for 136 years: the deadline is armed day by day. */
const deadlineMsMax = 24 * 3600 * 1000

const done = Exit.succeed<RetainedReply>({ _tag: "Done" })

const cancel: Signal<typeof RetainedKind> = { _tag: "CancelDeadline", key: "expire" }

const deadline = (message: RetainedMessage | null, nowMs: number): ReadonlyArray<Signal<typeof RetainedKind>> => {
  if (message === null || message.expiryAtMs === null) return []
  const atMs = Math.min(message.expiryAtMs, nowMs + deadlineMsMax)
  return [{ _tag: "SetDeadline", key: "expire", atMs, command: { _tag: "Expire" } }]
}

const clear = (state: RetainedState, cause: "Removed" | "Expired"): RetainedDecision =>
  state.message === null
    ? { events: [], reply: done, signals: [] }
    : { events: [{ _tag: "RetainedCleared", cause }], reply: done, signals: [cancel] }

const expire = (state: RetainedState, nowMs: number): RetainedDecision => {
  const expiryAtMs = state.message?.expiryAtMs ?? null
  if (expiryAtMs !== null && expiryAtMs <= nowMs) return clear(state, "Expired")
  return { events: [], reply: done, signals: deadline(state.message, nowMs) }
}

/** By value: a message that was read from a state which was packed since is another object. */
const isStill = (now: RetainedMessage | null, message: RetainedMessage, nowMs: number): boolean =>
  (message.expiryAtMs === null || message.expiryAtMs > nowMs) && (now === message || isDeepStrictEqual(now, message))

const decide = (state: RetainedState, command: RetainedCommand, nowMs: number, room: Room): RetainedDecision => {
  if (command._tag === "Expire") return expire(state, nowMs)
  if (command._tag === "Expect") {
    return isStill(state.message, command.message, nowMs) ? { events: [], reply: done, signals: [] } : refuse("Changed")
  }
  const { message } = command
  if (message === null || message.payload.length === 0) return clear(state, "Removed")
  const armed = deadline(message, nowMs)
  const signals = armed.length > 0 || state.message === null ? armed : [cancel]
  const growthBytes = retainedWeightOf(state.topic, message) - state.weightBytes
  if (growthBytes > 0 && growthBytes > room("retained")) return refuse("QuotaExceeded")
  return { events: [{ _tag: "RetainedSet", message }], reply: done, signals }
}

/** With bytes of its own: those of a replayed event or a loaded state are views into a buffer that is not ours. */
const ownMessage = (message: RetainedMessage): RetainedMessage => ({
  ...message,
  payload: new Uint8Array(message.payload),
  correlationData: message.correlationData && new Uint8Array(message.correlationData)
})

const stateOf = (topic: string, message: RetainedMessage | null): RetainedState => ({
  topic,
  message,
  weightBytes: retainedWeightOf(topic, message)
})

const evolve = (state: RetainedState, event: RetainedEvent): RetainedState =>
  stateOf(state.topic, event._tag === "RetainedSet" ? ownMessage(event.message) : null)

const load = (id: ActorId, saved: unknown): RetainedState => {
  const message = saved as RetainedMessage | null
  return stateOf(nameOf(id), message && ownMessage(message))
}

/** The retained message of one topic, `retained/<topic>`. */
export const Retained: Definition<typeof RetainedKind, RetainedState> = {
  kind: RetainedKind.name,
  version: 1,
  states: RetainedStates,
  initial: (id) => stateOf(nameOf(id), null),
  decide: (state, command, nowMs, room = unbounded) => decide(state, command, nowMs, room),
  evolve,
  resume: (state, nowMs) => deadline(state.message, nowMs),
  save: (state) => state.message,
  load,
  weights: [{ holder: "retained", perActor, bytesOf: ({ weightBytes }) => weightBytes }],
  isEmpty: (state) => state.message === null
}

/** The bytes that a message counts for the limit of all retained ones, without its topic. */
export const retainedBytesOf = (message: RetainedMessage): number => {
  let bytes = message.payload.length + (message.correlationData?.length ?? 0)
  bytes += Buffer.byteLength(message.contentType ?? "") + Buffer.byteLength(message.responseTopic ?? "")
  for (const [name, value] of message.userProperties) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  return bytes
}
