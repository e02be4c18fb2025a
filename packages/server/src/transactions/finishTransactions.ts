import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { partitionActor, PartitionRefused } from "@logbrook/actors/partition/Partition"
import {
  type FinishTransaction,
  transactionActor,
  TransactionKind
} from "@logbrook/actors/transaction/TransactionProtocol"
import type { Cause } from "@logbrook/core/journal/Frame"
import type { CommandList, ListAnswer } from "@logbrook/core/shard/CommandList"
import type { Shards } from "@logbrook/core/shard/Shards"
import * as EffectCause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Broker } from "../Broker.ts"
import type { StreamDirectory } from "../streams/StreamDirectory.ts"

/** The markers of a list, by their entries. */
type Markers = Map<CommandList, Array<readonly [entry: number, logId: number]>>

/**
 * Does what the durable end of a transaction leads to: a marker in each of its partitions, the pending offsets of each of its groups, and
 * then the coordinator's own word that all is done. Over one shard that is one commit; over several, those of the others come first. The
 * coordinator tells it again until it is done.
 */
class Finishing {
  readonly #shards: Shards
  readonly #directory: StreamDirectory
  /** Transactions under way, by their ids: one that is told again meanwhile must not end what its producer begins next. */
  readonly #underWay = new Set<string>()

  constructor(shards: Shards, directory: StreamDirectory) {
    this.#shards = shards
    this.#directory = directory
  }

  finish(notice: FinishTransaction, cause: Cause): void {
    const { transactionalId } = notice
    if (this.#underWay.has(transactionalId)) return
    this.#underWay.add(transactionalId)
    this.#ask(notice, cause, new Set())
  }

  /** `without`: logs that have refused the marker, and need none. */
  #ask(notice: FinishTransaction, cause: Cause, without: Set<number>): void {
    const { transactionalId, producerId, producerEpoch, outcome, version, partitions, groups } = notice
    const lists = this.#shards.lists()
    const markers: Markers = new Map()
    const coordinatorEpoch = this.#shards.epoch
    for (const { logId } of partitions) {
      // The partition of a deleted stream may be forgotten by now: a marker would begin its log anew, which nobody deletes again.
      if (without.has(logId) || this.#directory.byLogId(logId) === undefined) continue
      const to = partitionActor(logId)
      const list = lists.of(to)
      const marker = { producerId, producerEpoch, coordinatorEpoch, outcome, transactionVersion: version }
      const entry = list.add(to, { _tag: "WriteMarker", ...marker })
      const known = markers.get(list)
      if (known === undefined) markers.set(list, [[entry, logId]])
      else known.push([entry, logId])
    }
    for (const to of groups.map(groupActor)) lists.of(to).add(to, { _tag: "CompletePending", producerId, outcome })
    const coordinator = transactionActor(transactionalId)
    lists.askLast(
      coordinator,
      cause,
      (list) => void list.add(coordinator, { _tag: "Complete", producerId, producerEpoch }, list.all),
      (answers) => {
        const before = without.size
        for (const logId of refusedBy(markers, answers)) without.add(logId)
        if (without.size > before) this.#ask(notice, cause, without)
        else this.#underWay.delete(transactionalId)
      }
    )
  }
}

/**
 * Logs that have no transaction of this producer any more: they were deleted with their stream, or know a newer epoch of the producer.
 * That is one whose batches the coordinator has let in, or one of an administrator's marker (WriteTxnMarkers), of which the coordinator
 * knows nothing. Either way what shall end is not open there any more.
 */
const refusedBy = (markers: Markers, answers: ReadonlyMap<CommandList, ListAnswer>): ReadonlyArray<number> =>
  [...markers].flatMap(([list, entries]) => {
    const exits = answers.get(list)?.exits ?? []
    return entries.filter(([entry]) => isRefused(exits[entry])).map(([, logId]) => logId)
  })

const isRefused = (exit: Exit.Exit<unknown, unknown> | undefined): boolean =>
  exit !== undefined &&
  Exit.isFailure(exit) &&
  Option.getOrUndefined(EffectCause.failureOption(exit.cause)) instanceof PartitionRefused

/** From now on what ends is finished; told before a shard runs, so that a start goes on with what was under way. */
export const finishTransactions = ({ shards, directory }: Pick<Broker, "shards" | "directory">): void => {
  const finishing = new Finishing(shards, directory)
  shards.onNotice(TransactionKind, (notice, cause) => finishing.finish(notice, cause))
}
