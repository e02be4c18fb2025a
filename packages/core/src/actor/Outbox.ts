import type { Signal } from "./Definition.ts"
import type { AnyKind } from "./Kind.ts"

/**
 * A message to other actors that must not be lost, as a session's will and the deletion of a stream's logs:
 *
 *     decided ─ event: the state has an intent ─► durable ─ notice ─► a list: its commands, and the confirmation behind them
 *                                                    ▲                   │
 *                                                    └── RepeatIntents ──┘ not confirmed; at a start by `resume`
 *
 * 1. An intent is journaled with the decision that it follows from, under an id of its sender's.
 * 2. The shell that hears the notice makes a list (`CommandList`) of what is to be done, whose last entry confirms the intent
 *    to its sender if all else was taken. Both are in one commit.
 * 3. The notice is given again until the confirmation is decided, after a start as well. A command that comes twice changes
 *    nothing: a receiver on another shard, whose commit is another, may hear of it after it was done.
 */
export interface RepeatIntents {
  readonly _tag: "RepeatIntents"
  /** Until the next time after this one. */
  readonly delayMs: number
}

interface RepeatSignal extends Extract<Signal<AnyKind>, { readonly _tag: "SetDeadline" }> {
  readonly command: RepeatIntents
}

const key = "outbox"
const firstDelayMs = 1000
const delayMsMax = 60_000

/** For a state with intents: when they are told again; with it goes how long the time after that is. */
export const repeatAt = (atMs: number, delayMs: number = firstDelayMs): RepeatSignal => ({
  _tag: "SetDeadline",
  key,
  atMs,
  command: { _tag: "RepeatIntents", delayMs: Math.min(delayMs, delayMsMax) }
})

/** With the notice of a new intent, or with all of them again: they are told anew after this delay, then after twice that. */
export const repeatIn = (nowMs: number, delayMs: number = firstDelayMs): RepeatSignal =>
  repeatAt(nowMs + delayMs, 2 * delayMs)

/** For a shell that was given a notice again which it could not look at then. */
export const repeatNow: RepeatIntents = { _tag: "RepeatIntents", delayMs: firstDelayMs }

/** The last intent is confirmed. */
export const repeatNoMore = { _tag: "CancelDeadline", key } as const
