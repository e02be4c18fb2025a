import type { Decision, Definition } from "@logbrook/core/actor/Definition"
import type { AnyKind, CommandOf } from "@logbrook/core/actor/Kind"
import { pack, unpack } from "@logbrook/core/actor/pack"
import { expect } from "vitest"

/**
 * The state behind a decision, as the runtime takes it: the one that is handed over, or else the fold of the events. What is
 * handed over must be what a replay comes to, which folds copies of the events into a state that was saved and loaded.
 */
export const nextOf = <K extends AnyKind, State>(
  definition: Definition<K, State>,
  before: State,
  { events, next }: Decision<K, CommandOf<K>, State>
): State => {
  if (next === undefined) return events.reduce((state, event) => definition.evolve(state, event), before)
  expect(events.length, "a state is handed over only with events").toBeGreaterThan(0)
  let replayed = definition.load(idOf(definition, before), unpack(pack(definition.save(before))))
  for (const event of events) replayed = definition.evolve(replayed, unpack(pack(event)) as typeof event)
  if (!pack(definition.save(next)).equals(pack(definition.save(replayed)))) {
    expect(definition.save(next)).toEqual(definition.save(replayed))
    throw new Error("the saved states differ in their bytes")
  }
  for (const { bytesOf } of definition.weights ?? []) expect(bytesOf(next)).toBe(bytesOf(replayed))
  return next
}

const idOf = ({ kind }: { readonly kind: string }, state: unknown): string => {
  const ids = state as { readonly groupId?: string; readonly clientId?: string; readonly transactionalId?: string }
  return `${kind}/${ids.groupId ?? ids.clientId ?? ids.transactionalId ?? ""}`
}
