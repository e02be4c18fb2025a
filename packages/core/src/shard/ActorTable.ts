import type { Exit } from "effect/Exit"
import { kindOf, type ActorId, type AnyDefinition } from "../actor/Definition.ts"
import type { Address, AnyKind } from "../actor/Kind.ts"
import type { PersistentStates, States } from "../actor/States.ts"
import { packState, stateVersionOf, unpackState } from "../actor/savedState.ts"
import type { MemoryAccount } from "../memory/MemoryAccount.ts"
import type { View } from "./View.ts"

export type Health = "running" | "failed"

/** An actor in memory. Only the shard changes it. */
export interface Live {
  readonly id: ActorId
  readonly definition: AnyDefinition
  /** Undefined: a failed one whose events do not fold any more. */
  state: unknown
  health: Health
  /** Made on being asked, and without an event so far. */
  isNew: boolean
  /** Events since the last state hash. */
  unhashed: number
  /** The bytes of the packed state at the last hash; 0 before the first. */
  stateBytes: number
  lastUsedMs: number
  /** Times of restarts within the intensity window. */
  restartsMs: ReadonlyArray<number>
  parked: Map<string, (exit: Exit<unknown, unknown>) => void> | undefined
  /** Replies that are to be parked once their turns are completed. */
  parking: number
  /** The bytes that are on the accounts for it, by its definition's weights. */
  readonly weighed: Array<number>
}

interface Passive {
  readonly saved: Buffer
  readonly weighed: Array<number>
}

const unpacked = (definition: AnyDefinition, id: ActorId, { saved }: Passive): unknown =>
  unpackState(definition, id, saved, stateVersionOf(definition))

/** No definition knows this kind of actor. */
export class UnknownKind extends Error {
  readonly _tag = "UnknownKind"
}

/** An actor cannot answer: it was given up, or its shard is being replayed. Retriable. */
export class ActorUnavailable extends Error {
  readonly _tag = "ActorUnavailable"
}

/** The actors of one shard: live ones, and passive ones as packed bytes, which count as much as before. */
export class ActorTable {
  readonly #definitions: ReadonlyMap<string, AnyDefinition>
  readonly #account: MemoryAccount
  #live = new Map<ActorId, Live>()
  #passive = new Map<ActorId, Passive>()
  /** The durable states of actors whose states are ahead of the journal, and how many turns they are ahead. */
  #durable = new Map<ActorId, { state: unknown; turns: number }>()

  constructor(definitions: Iterable<AnyDefinition>, account: MemoryAccount) {
    this.#definitions = new Map(Array.from(definitions, (definition) => [definition.kind, definition]))
    this.#account = account
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
    const passive = this.#passive.get(id)
    const state = passive === undefined ? definition.initial(id) : unpacked(definition, id, passive)
    this.#passive.delete(id)
    const woken = this.put(id, state, nowMs, passive?.weighed)
    woken.isNew = passive === undefined
    return woken
  }

  get(id: ActorId): Live | undefined {
    return this.#live.get(id)
  }

  put(id: ActorId, state: unknown, nowMs: number, weighed?: Array<number>): Live {
    const definition = this.definition(id)
    const live: Live = {
      id,
      definition,
      state,
      health: "running",
      isNew: false,
      unhashed: 0,
      stateBytes: 0,
      lastUsedMs: nowMs,
      restartsMs: noRestarts,
      parked: undefined,
      parking: 0,
      weighed: weighed ?? definition.weights?.map(() => 0) ?? noWeights
    }
    this.#live.set(id, live)
    this.weigh(live)
    return live
  }

  /** Brings the accounts up to the actor's state. A state that is lost weighs what it did. */
  weigh({ id, definition, state, weighed }: Live): void {
    const { weights } = definition
    if (weights === undefined || state === undefined) return
    for (let i = 0; i < weights.length; i++) {
      const { holder, perActor, bytesOf } = weights[i]!
      const bytes = bytesOf(state) + (perActor === 0 ? 0 : perActor + idCopies * id.length)
      if (bytes === weighed[i]) continue
      this.#account.add(holder, bytes - weighed[i]!)
      weighed[i] = bytes
    }
  }

  #unweigh({ weights }: AnyDefinition, weighed: ReadonlyArray<number>): void {
    weights?.forEach(({ holder }, i) => this.#account.add(holder, -weighed[i]!))
  }

  /** Forgets an actor that was asked something and has nothing to remember; whoever asks for it again finds it as it was. */
  forgetNew({ id, definition, weighed, parking }: Live): void {
    if (parking > 0) return
    this.#live.delete(id)
    this.#unweigh(definition, weighed)
  }

  /**
   * Forgets an actor that has nothing to remember, durably, and yet weighs on an account. Kept until it has been idle for
   * long, it would take the room of others: of 0 retained messages and 0 sessions the accounts could be full.
   */
  forgetEmptied(live: Live): void {
    const { id, definition, health, parked, parking, restartsMs, weighed } = live
    const isInUse = health !== "running" || parking > 0 || (parked?.size ?? 0) > 0 || restartsMs.length > 0
    if (isInUse || this.#live.get(id) !== live || !definition.isEmpty(live.state)) return
    if (weighed.every((bytes) => bytes === 0)) return
    this.#live.delete(id)
    this.#unweigh(definition, weighed)
  }

  /** A turn has moved an actor on, whose kind is persistent, from this state; told once of each turn and actor. */
  moved(id: ActorId, before: unknown): void {
    const known = this.#durable.get(id)
    if (known === undefined) this.#durable.set(id, { state: before, turns: 1 })
    else known.turns++
  }

  /** Such a turn is durable, and left the actor in this state. */
  completed(id: ActorId, after: unknown): void {
    const known = this.#durable.get(id)
    if (known === undefined) return
    known.state = after
    if (--known.turns === 0) this.#durable.delete(id)
  }

  /** The durable states of a kind, for readers outside the shard. */
  view<K extends AnyKind, State>(states: PersistentStates<K, State>): View<K, State> {
    const { isEmpty } = this.#definitionOf(states)
    const get = (actor: Address<K>): State | undefined => {
      const ahead = this.#durable.get(actor)
      const state = (ahead === undefined ? this.#newest(actor) : ahead.state) as State | undefined
      return state === undefined || isEmpty(state) ? undefined : state
    }
    const ofKind = (): ReadonlyArray<Address<K>> => this.ofKind(states.kind)
    return {
      get,
      *all() {
        for (const actor of ofKind()) {
          const state = get(actor)
          if (state !== undefined) yield [actor, state] as const
        }
      }
    }
  }

  /** The newest states of a kind, those with something to remember; to be used up before the next turn. */
  *newest<K extends AnyKind, State>(states: States<K, State>): Iterable<readonly [actor: Address<K>, state: State]> {
    const { isEmpty } = this.#definitionOf(states)
    for (const actor of this.ofKind(states.kind)) {
      const state = this.#newest(actor) as State | undefined
      if (state !== undefined && !isEmpty(state)) yield [actor, state]
    }
  }

  #definitionOf<K extends AnyKind, State>(states: States<K, State>): AnyDefinition {
    const definition = this.#definitions.get(states.kind.name)
    if (definition?.states !== states) throw new UnknownKind(`no definition has these states of "${states.kind.name}"`)
    return definition
  }

  #newest(id: ActorId): unknown {
    const live = this.#live.get(id)
    if (live !== undefined) return live.state
    const passive = this.#passive.get(id)
    return passive && unpacked(this.definition(id), id, passive)
  }

  /** Packs an idle actor's state, or forgets one that has nothing to remember. Throws what `save` throws, nothing changed. */
  passivate(live: Live): void {
    const saved = this.saved(live.id)
    this.#live.delete(live.id)
    if (saved === undefined) this.#unweigh(live.definition, live.weighed)
    else this.#passive.set(live.id, { saved, weighed: live.weighed })
  }

  live(): IterableIterator<Live> {
    return this.#live.values()
  }

  ids(): Array<ActorId> {
    return [...this.#live.keys(), ...this.#passive.keys()]
  }

  /** All of a kind, whether anything of them is durable or not. Among 200,000 other actors it takes some 5 ms. */
  ofKind<K extends AnyKind>({ name }: K): Array<Address<K>> {
    const prefix = `${name}/`
    const found: Array<Address<K>> = []
    for (const ids of [this.#live.keys(), this.#passive.keys()]) {
      for (const id of ids) if (id.startsWith(prefix)) found.push(id as Address<K>)
    }
    // An actor may be forgotten already, and the commit that empties it not be durable yet.
    for (const id of this.#durable.keys()) {
      if (id.startsWith(prefix) && !this.#live.has(id) && !this.#passive.has(id)) found.push(id as Address<K>)
    }
    return found
  }

  /** Returns what a snapshot keeps of an actor; undefined for an initial state. Throws for a state that is lost, and what `save` throws. */
  saved(id: ActorId): Buffer | undefined {
    const live = this.#live.get(id)
    if (live === undefined) return this.#passive.get(id)?.saved
    if (live.state === undefined) throw new ActorUnavailable(`${id} has no state`)
    return live.definition.isEmpty(live.state) ? undefined : packState(live.definition, live.state)
  }

  replaceAll(states: ReadonlyMap<ActorId, unknown>, nowMs: number): void {
    for (const { definition, weighed } of this.#live.values()) this.#unweigh(definition, weighed)
    for (const [id, { weighed }] of this.#passive) this.#unweigh(this.definition(id), weighed)
    this.#live = new Map()
    this.#passive = new Map()
    this.#durable = new Map()
    for (const [id, state] of states) this.forgetEmptied(this.put(id, state, nowMs))
  }
}

const noWeights: Array<number> = []
const noRestarts: ReadonlyArray<number> = []

/** An id is a key of the table and of what is derived from it, and a name in the state: two bytes for each character. */
const idCopies = 2
