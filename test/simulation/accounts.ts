import { pack, unpack } from "@logbrook/core/actor/pack"
import { type Holder, holders, MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ActorTable } from "@logbrook/core/shard/ActorTable"
import { definitions } from "@logbrook/server/Broker"
import type { SimServer } from "./SimServer.ts"
import { newestState } from "../../packages/core/test/support/newestState.ts"

/** What connections have on them themselves, no state tells. */
const ofConnections: ReadonlySet<Holder> = new Set(["connections", "transit"])

/** How the accounts of memory differ from the sums over what is in memory, weighed anew from saved states. */
export const accountDifferences = ({ shard, broker, node }: SimServer): ReadonlyArray<string> => {
  const { actors, memory } = shard
  const { gate, limits } = broker
  const anew = new MemoryAccount(0)
  const table = new ActorTable(definitions(limits), anew)
  for (const id of actors.ids()) {
    const definition = table.definition(id)
    const state: unknown = newestState(actors, id)
    if (state !== undefined) table.put(id, definition.load(id, unpack(pack(definition.save(state)))), 0)
  }
  for (const session of node.fetchSessions.all) anew.add("fetches", session.weighed())
  return holders.flatMap((holder) => {
    const bytes = memory.bytes(holder)
    if (ofConnections.has(holder)) {
      const ofSessions = anew.bytes(holder)
      const isRight = gate.open === 0 ? bytes === ofSessions : bytes >= ofSessions
      return isRight ? [] : [`${bytes} bytes of ${holder} are on the account of ${gate.open} connections`]
    }
    const wanted = anew.bytes(holder)
    return bytes === wanted ? [] : [`${bytes} bytes of ${holder} are on the account, and ${wanted} are kept`]
  })
}
