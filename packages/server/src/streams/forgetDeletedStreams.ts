import { catalogActor, CatalogKind, type ForgetStream } from "@logbrook/actors/catalog/CatalogProtocol"
import { GroupStates, hasOffsetsOf } from "@logbrook/actors/group/groupState"
import { partitionActor } from "@logbrook/actors/partition/Partition"
import type { Cause } from "@logbrook/core/journal/Frame"
import type { Shards } from "@logbrook/core/shard/Shards"

const forget = (shards: Shards, { topicId, logIds }: ForgetStream, cause: Cause): void => {
  const lists = shards.lists()
  for (const to of logIds.map(partitionActor)) lists.of(to).add(to, { _tag: "DeleteLog" })
  for (const [to, group] of shards.view(GroupStates).all()) {
    if (hasOffsetsOf(group, topicId)) lists.of(to).add(to, { _tag: "ForgetStreams", topicIds: [topicId] })
  }
  lists.askLast(catalogActor, cause, (list) => {
    list.add(catalogActor, { _tag: "ConfirmDeletion", topicId }, list.all)
  })
}

/**
 * Partitions' logs, and the offsets that hang on a topic id, go with their stream, whoever deleted it; the catalog says so until
 * it is confirmed. Behind the next turn: a commit of offsets may have waited for the deletion that still knew the stream.
 */
export const forgetDeletedStreams = ({ shards }: { readonly shards: Shards }): void =>
  shards.onNotice(CatalogKind, (notice, cause) => {
    shards.ack({ acked: () => forget(shards, notice, cause) }, 0, undefined, 0)
  })
