import type { CatalogEvent } from "@logbrook/actors/catalog/CatalogProtocol"
import type { GroupState } from "@logbrook/actors/group/groupState"
import type { Shard } from "@logbrook/core/shard/Shard"

/** Offsets hang on topic ids: groups forget those of a deleted stream, whoever deleted it. */
export const forgetDeletedStreams = (shard: Shard): void =>
  shard.observe("catalog", (_actor, event, seq) => {
    const deleted = event as CatalogEvent
    if (deleted._tag !== "StreamDeleted") return
    for (const to of shard.actors.ofKind("group")) {
      if (shard.actors.peek<GroupState>(to)?.offsets.has(deleted.topicId) !== true) continue
      shard.offer({ to, command: { _tag: "ForgetStreams", topicIds: [deleted.topicId] }, cause: { seq } })
    }
  })
