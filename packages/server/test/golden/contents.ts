import type { GroupState } from "@logbrook/actors/group/groupState"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import type { Subscription } from "@logbrook/actors/session/SessionProtocol"
import { kindOf, type ActorId } from "@logbrook/core/actor/Definition"
import { hashOfState } from "@logbrook/core/actor/savedState"
import { Replay } from "@logbrook/core/shard/Replay"
import { goldenActors, openJournal } from "./life.ts"

const lengthShown = 40

/** Bytes as text, and long text by its length. */
const shortly = (_key: string, value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  if (typeof value === "string" && value.length > lengthShown) return `${value.length} characters`
  const { type, data } = (value ?? {}) as { readonly type?: string; readonly data?: ReadonlyArray<number> }
  return type === "Buffer" && data !== undefined ? Buffer.from(data).toString() : value
}

const definitionOf = (id: ActorId) => goldenActors.find(({ kind }) => kind === kindOf(id))!

/** In the order of the files. */
const subscriptionOf = ({ filter, qos, ...options }: Subscription) => ({ ...options, filter, qos })

/** What clients are told of the actor, or else what it saves, with each subscription for itself. */
const told = (id: ActorId, state: unknown): unknown => {
  const definition = definitionOf(id)
  if (definition.kind === "session") {
    const subscriptions = Array.from((state as SessionState).subscriptions.values(), subscriptionOf)
    return { ...(definition.save(state) as object), subscriptions }
  }
  if (definition.kind !== "group") return definition.save(state)
  const replyTo = (command: object) => definition.decide(state as GroupState, command, 0).reply
  return [replyTo({ _tag: "Describe" }), replyTo({ _tag: "FetchOffsets", requireStable: false, partitions: null })]
}

/** Of what today's server saves of each actor, by its id. */
export const hashesOf = async (directory: string, fromStart: boolean): Promise<ReadonlyMap<ActorId, string>> => {
  const journal = openJournal(directory)
  const { states } = new Replay(goldenActors, { fromStart }).run(journal)
  await journal.close()
  return new Map(Array.from(states, ([id, state]) => [id, hashOfState(definitionOf(id), state).toString("hex")]))
}

/** A line for each actor. */
export const contentsOf = async (directory: string, fromStart: boolean): Promise<ReadonlyArray<string>> => {
  const journal = openJournal(directory)
  const { states, snapshotFromSeq } = new Replay(goldenActors, { fromStart }).run(journal)
  if ((snapshotFromSeq === undefined) !== fromStart) throw new Error("there is no snapshot")
  await journal.close()
  return [...states]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, state]) => `${id} ${JSON.stringify(told(id, state), shortly)}`)
}
