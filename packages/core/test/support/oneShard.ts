import { type Clock, systemClock } from "@logbrook/core/Clock"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import type { ShardOptions } from "@logbrook/core/shard/ShardOptions"
import { Shards } from "@logbrook/core/shard/Shards"

export interface OneShardOptions
  extends Pick<ShardOptions, "journal" | "definitions">, Partial<Pick<ShardOptions, "version" | "onPoison">> {
  /** The machine's without it. */
  readonly clock?: Clock
  /** Others than the product's; commits are not paced. */
  readonly limits?: Partial<Limits>
  /** Told of a journal that is poisoned, of defects, and of turns that fail. */
  readonly onTrouble: (where: string, trouble: unknown) => void
}

/** One shard alone, as the product makes it. */
export const oneShard = ({
  journal,
  definitions,
  clock = systemClock,
  limits,
  version = "test",
  onTrouble,
  onPoison = (failure) => onTrouble("journal", failure)
}: OneShardOptions): Shard => {
  const { all } = new Shards({
    journals: [journal],
    definitions,
    clock,
    limits: { ...defaultLimits, commitPacingMs: 0, ...limits },
    version,
    onPoison,
    onDefect: onTrouble
  })
  return all[0]!
}

/** It has recovered, and takes commands. */
export const startedShard = (options: OneShardOptions): Shard => {
  const shard = oneShard(options)
  shard.recover()
  shard.start((fault) => options.onTrouble("turn", fault))
  return shard
}
