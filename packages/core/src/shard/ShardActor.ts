import * as Exit from "effect/Exit"
import type { Decision, Definition } from "../actor/Definition.ts"
import { type Address, address, kind } from "../actor/Kind.ts"
import { persistentStates } from "../actor/States.ts"

/** The shard's own history: when it was taken over, by which version, whether it ended in order, and its clock. */
export interface ShardState {
  readonly epoch: number
  readonly version: string
  readonly isStopped: boolean
  readonly starts: number
  /** The time by which retention went when it stopped believing the machine's clock, Unix ms; not there while it believes it. */
  readonly clockHeldAtMs?: number
}

export type ShardCommand =
  | { readonly _tag: "Start"; readonly epoch: number; readonly version: string }
  | { readonly _tag: "Stop" }
  | { readonly _tag: "HoldClock"; readonly aheadMs: number; readonly retentionAtMs: number }
  | { readonly _tag: "TrustClock"; readonly reason: string }

export type ShardEvent =
  /** `wasStopped` is false after a crash; a new journal's first start has `isNew` instead (older versions said true). */
  | {
      readonly _tag: "Started"
      readonly epoch: number
      readonly version: string
      readonly isNew?: true
      readonly wasStopped?: boolean
    }
  | { readonly _tag: "Stopped" }
  /** The machine's clock was set ahead by more than retention believes, which goes by `retentionAtMs` (Unix ms) from here on. */
  | { readonly _tag: "ClockRanAhead"; readonly aheadMs: number; readonly retentionAtMs: number }
  /** Retention believes the machine's clock again: it came back (`clock`), was waited for (`time`), or `operator`. */
  | { readonly _tag: "ClockTrusted"; readonly reason: string }

export const ShardKind = kind<{
  command: ShardCommand
  replies: Readonly<Record<ShardCommand["_tag"], void>>
  failure: never
  event: ShardEvent
  notice: never
}>()("shard")

export const ShardStates = persistentStates<ShardState>()(ShardKind)

export const shardActor = (number: number): Address<typeof ShardKind> => address(ShardKind, number)

type ShardDecision = Decision<typeof ShardKind>

const started = (
  { isStopped, starts }: ShardState,
  { epoch, version }: { readonly epoch: number; readonly version: string }
): ShardEvent => ({ _tag: "Started", epoch, version, ...(starts === 0 ? { isNew: true } : { wasStopped: isStopped }) })

const happened = (state: ShardState, command: ShardCommand): ShardEvent => {
  switch (command._tag) {
    case "Start":
      return started(state, command)
    case "Stop":
      return { _tag: "Stopped" }
    case "HoldClock":
      return { _tag: "ClockRanAhead", aheadMs: command.aheadMs, retentionAtMs: command.retentionAtMs }
    case "TrustClock":
      return { _tag: "ClockTrusted", reason: command.reason }
  }
}

const evolve = (state: ShardState, event: ShardEvent): ShardState => {
  switch (event._tag) {
    case "Started":
      return { ...state, epoch: event.epoch, version: event.version, isStopped: false, starts: state.starts + 1 }
    case "Stopped":
      return { ...state, isStopped: true }
    case "ClockRanAhead":
      return { ...state, clockHeldAtMs: event.retentionAtMs }
    case "ClockTrusted": {
      const { epoch, version, isStopped, starts } = state
      return { epoch, version, isStopped, starts }
    }
  }
}

export const ShardActor: Definition<typeof ShardKind, ShardState> = {
  kind: ShardKind.name,
  version: 1,
  states: ShardStates,
  initial: () => ({ epoch: 0, version: "", isStopped: true, starts: 0 }),
  decide: (state, command): ShardDecision => ({ events: [happened(state, command)], reply: Exit.void, signals: [] }),
  evolve,
  resume: () => [],
  save: (state) => state,
  load: (_id, saved) => saved as ShardState,
  isEmpty: (state) => state.starts === 0
}
