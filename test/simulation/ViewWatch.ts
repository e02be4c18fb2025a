import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import type { Address, AnyKind } from "@logbrook/core/actor/Kind"
import { pack } from "@logbrook/core/actor/pack"
import type { PersistentStates } from "@logbrook/core/actor/States"
import type { Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { View } from "@logbrook/core/shard/View"
import { definitions } from "@logbrook/server/Broker"

type Actor = Address<AnyKind>

interface Watched {
  readonly definition: AnyDefinition
  readonly view: View<AnyKind, object>
  /** By what was durable at the start, and the durable events since. */
  readonly folded: Map<Actor, object>
}

/** Folds what is durable of every kind that has a view, and compares. */
export class ViewWatch {
  readonly #watched: ReadonlyArray<Watched>
  readonly #violated: (message: string) => void
  /** A state never changes, so its bytes are known once. */
  readonly #packed = new WeakMap<object, Buffer>()

  /** Of a shard that has recovered. */
  constructor(shard: Shard, limits: Limits, violated: (message: string) => void) {
    this.#violated = violated
    this.#watched = definitions(limits).flatMap((definition) => {
      const { states, evolve, initial } = definition
      if (states?.isPersistent !== true) return []
      const persistent = states as PersistentStates<AnyKind, object>
      const folded = new Map<Actor, object>()
      shard.follow(persistent, {
        restored: (actor, state) => folded.set(actor, state),
        event: (actor, event) => folded.set(actor, evolve(folded.get(actor) ?? initial(actor), event) as object)
      })
      return [{ definition, view: shard.view(persistent), folded }]
    })
  }

  /** To be called outside of what follows a commit. */
  check(): void {
    for (const { definition, view, folded } of this.#watched) {
      for (const [actor, state] of folded) {
        if (definition.isEmpty(state)) folded.delete(actor)
        else if (view.get(actor) === undefined) this.#violated(`the view does not know ${actor}, which is durable`)
      }
      for (const [actor, state] of view.all()) {
        const durable = folded.get(actor)
        if (durable === undefined) this.#violated(`the view shows ${actor}, of which nothing is durable`)
        else if (!this.#bytesOf(definition, state).equals(this.#bytesOf(definition, durable))) {
          this.#violated(`the view shows another state of ${actor} than the durable one`)
        }
      }
    }
  }

  #bytesOf({ save }: AnyDefinition, state: object): Buffer {
    let bytes = this.#packed.get(state)
    if (bytes === undefined) {
      bytes = pack(save(state))
      this.#packed.set(state, bytes)
    }
    return bytes
  }
}
