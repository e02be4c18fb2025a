import type { Exit } from "effect/Exit"
import { kindOf, type ActorId, type AnyDefinition } from "../actor/Definition.ts"
import { pack, unpack } from "../actor/pack.ts"

export type Health = "running" | "failed"

/** An actor in memory. Only the shard changes it. */
export interface Live {
  readonly id: ActorId
  readonly definition: AnyDefinition
  /** Undefined: a failed one whose events do not fold any more. */
  state: unknown
  health: Health
  /** Events since the last state hash. */
  unhashed: number
  /** Of the packed state at the last hash; 0 before the first. */
  stateBytes: number
  lastUsedMs: number
  /** Times of restarts within the intensity window. */
  restartsMs: ReadonlyArray<number>
  parked: Map<string, (exit: Exit<unknown, unknown>) => void> | undefined
  /** Replies that are to be parked once their turns have settled. */
  parking: number
}

/** No definition knows this kind of actor. */
export class UnknownKind extends Error {
  readonly _tag = "UnknownKind"
}

/** An actor cannot answer: it was given up, or its shard is being replayed. Retriable. */
export class ActorUnavailable extends Error {
  readonly _tag = "ActorUnavailable"
}

/** The actors of one shard: live ones, and passive ones as packed bytes. */
export class ActorTable {
  readonly #definitions: ReadonlyMap<string, AnyDefinition>
  #live = new Map<ActorId, Live>()
  #passive = new Map<ActorId, Buffer>()

  constructor(definitions: Iterable<AnyDefinition>) {
    this.#definitions = new Map(Array.from(definitions, (definition) => [definition.kind, definition]))
  }

  get liveCount(): number {
    return this.#live.size
  }

  get passiveCount(): number {
    return this.#passive.size
  }

  definition(id: ActorId): AnyDefinition {
    const definition = this.#definitions.get(kindOf(id))
    if (definition === undefined) throw new UnknownKind(`no actor of kind "${kindOf(id)}"`)
    return definition
  }

  /** The actor, woken if it was passive, made in its initial state if it never was. Throws `UnknownKind`. */
  getOrMake(id: ActorId, nowMs: number): Live {
    const live = this.#live.get(id)
    if (live !== undefined) return live
    const definition = this.definition(id)
    const saved = this.#passive.get(id)
    const state = saved === undefined ? definition.initial(id) : definition.load(id, unpack(saved))
    this.#passive.delete(id)
    return this.put(id, state, nowMs)
  }

  get(id: ActorId): Live | undefined {
    return this.#live.get(id)
  }

  put(id: ActorId, state: unknown, nowMs: number): Live {
    const live: Live = {
      id,
      definition: this.definition(id),
      state,
      health: "running",
      unhashed: 0,
      stateBytes: 0,
      lastUsedMs: nowMs,
      restartsMs: [],
      parked: undefined,
      parking: 0
    }
    this.#live.set(id, live)
    return live
  }

  /** The state for readers outside the shard: not to be changed, and not to be kept across turns. */
  peek<State>(id: ActorId): State | undefined {
    const live = this.#live.get(id)
    if (live !== undefined) return live.state as State
    const saved = this.#passive.get(id)
    return saved && (this.definition(id).load(id, unpack(saved)) as State)
  }

  /** Packs an idle actor's state, or forgets one that has nothing to remember. Throws what `save` throws, nothing changed. */
  passivate(live: Live): void {
    const saved = this.saved(live.id)
    this.#live.delete(live.id)
    if (saved !== undefined) this.#passive.set(live.id, saved)
  }

  live(): IterableIterator<Live> {
    return this.#live.values()
  }

  ids(): Array<ActorId> {
    return [...this.#live.keys(), ...this.#passive.keys()]
  }

  /** Among 200,000 other actors it takes some 5 ms. */
  ofKind(kind: string): Array<ActorId> {
    const prefix = `${kind}/`
    const found: Array<ActorId> = []
    for (const ids of [this.#live.keys(), this.#passive.keys()]) {
      for (const id of ids) if (id.startsWith(prefix)) found.push(id)
    }
    return found
  }

  /** What a snapshot keeps of an actor; undefined for an initial state. Throws for a state that is lost, and what `save` throws. */
  saved(id: ActorId): Buffer | undefined {
    const live = this.#live.get(id)
    if (live === undefined) return this.#passive.get(id)
    if (live.state === undefined) throw new ActorUnavailable(`${id} has no state`)
    return live.definition.isEmpty(live.state) ? undefined : pack(live.definition.save(live.state))
  }

  replaceAll(states: ReadonlyMap<ActorId, unknown>, nowMs: number): void {
    this.#live = new Map()
    this.#passive = new Map()
    for (const [id, state] of states) this.put(id, state, nowMs)
  }
}
