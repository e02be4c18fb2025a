import { makeCatalog, type CatalogState } from "@logbrook/actors/catalog/Catalog"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { defaultLimits } from "@logbrook/core/Limits"
import { kindOf, nameOf, type ActorId } from "@logbrook/core/actor/Definition"
import { logIdOf, partitionId, partitionKind } from "@logbrook/core/actor/LogEvents"
import type { Seq } from "@logbrook/core/journal/Journal"
import { Replay, type History } from "@logbrook/core/shard/Replay"

/** Log ids under the names that people know. */
export interface StreamNames {
  readonly byLogId: (logId: number) => { readonly stream: string; readonly partition: number } | undefined
  readonly logId: (stream: string, partition: number) => number | undefined
}

export const streamNames = ({ streams }: Pick<CatalogState, "streams">): StreamNames => {
  const byLogId = new Map<number, { readonly stream: string; readonly partition: number }>()
  for (const { name, logIds } of streams.values()) {
    logIds.forEach((logId, partition) => byLogId.set(logId, { stream: name, partition }))
  }
  return {
    byLogId: (logId) => byLogId.get(logId),
    logId: (stream, partition) => streams.get(stream)?.logIds[partition]
  }
}

/** The names that held just before `endSeq`: a stream deleted until then has none. */
export const streamNamesAt = (journal: History, endSeq: Seq): StreamNames => streamNames(catalogAt(journal, endSeq))

/** The catalog just before `endSeq`. Throws `JournalError`, also where nothing of so far back is kept. */
export const catalogAt = (journal: History, endSeq: Seq): CatalogState => {
  const catalog = makeCatalog(defaultLimits)
  const { states } = new Replay([catalog], { endSeq }).run(journal)
  return (states.get(catalogActor) as CatalogState | undefined) ?? catalog.initial(catalogActor)
}

/** `partition/7` of `partition/sensors/3`; other names are ids already. Undefined for a stream's partition that there is not. */
export const resolveActor = (name: string, names: StreamNames): ActorId | undefined => {
  const found = /^partition\/(.+)\/(\d+)$/.exec(name)
  if (found === null) return name
  const logId = names.logId(found[1]!, Number(found[2]))
  return logId === undefined ? undefined : partitionId(logId)
}

/** The name to show: `partition/sensors/3` for `partition/7` where the stream is known. */
export const displayName = (id: ActorId, names: StreamNames): string => {
  if (kindOf(id) !== partitionKind) return id
  const found = names.byLogId(logIdOf(id))
  return found === undefined ? id : `${partitionKind}/${found.stream}/${found.partition}`
}

/** Whether `name` is an id of the right form at all. */
export const isActorName = (name: string): boolean => name.includes("/") && kindOf(name) !== "" && nameOf(name) !== ""
