import type { ActorId } from "@logbrook/core/actor/Definition"
import { stateVersionOf, unpackState } from "@logbrook/core/actor/savedState"
import type { ActorTable } from "@logbrook/core/shard/ActorTable"

/** The newest state of an actor, durable or not, also of one that is packed: for tests alone, which know what they look at. */
export const newestState = <State = unknown>(actors: ActorTable, id: ActorId): State | undefined => {
  const live = actors.get(id)
  if (live !== undefined) return live.state as State
  const saved = actors.saved(id)
  const definition = actors.definition(id)
  return saved && (unpackState(definition, id, saved, stateVersionOf(definition)) as State)
}
