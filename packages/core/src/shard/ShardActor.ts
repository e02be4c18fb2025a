import * as Exit from "effect/Exit"
import type { Decision, Definition } from "../actor/Definition.ts"

/** The shard's own history: when it was taken over, by which version, and whether it ended in order. */
export interface ShardState {
  readonly epoch: number
  readonly version: string
  readonly isStopped: boolean
  readonly starts: number
}

export type ShardCommand =
  | { readonly _tag: "Start"; readonly epoch: number; readonly version: string }
  | { readonly _tag: "Stop" }

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

type ShardDecision = Decision<ShardCommand, ShardEvent, void, never>

const started = (
  { isStopped, starts }: ShardState,
  { epoch, version }: { readonly epoch: number; readonly version: string }
): ShardEvent => ({ _tag: "Started", epoch, version, ...(starts === 0 ? { isNew: true } : { wasStopped: isStopped }) })

export const ShardActor: Definition<ShardState, ShardCommand, ShardEvent, void, never> = {
  kind: "shard",
  version: 1,
  initial: () => ({ epoch: 0, version: "", isStopped: true, starts: 0 }),
  decide: (state, command): ShardDecision => {
    return {
      events: [command._tag === "Start" ? started(state, command) : { _tag: "Stopped" }],
      reply: Exit.void,
      signals: []
    }
  },
  evolve: (state, event) =>
    event._tag === "Started"
      ? { epoch: event.epoch, version: event.version, isStopped: false, starts: state.starts + 1 }
      : { ...state, isStopped: true },
  resume: () => [],
  save: (state) => state,
  load: (_id, saved) => saved as ShardState,
  isEmpty: (state) => state.starts === 0
}
