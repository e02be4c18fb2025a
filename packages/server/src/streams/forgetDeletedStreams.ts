import { catalogActor, CatalogKind, type ForgetStream } from "@logbrook/actors/catalog/CatalogProtocol"
import { GroupStates } from "@logbrook/actors/group/groupState"
import { partitionActor } from "@logbrook/actors/partition/Partition"
import { CommandList } from "@logbrook/core/shard/CommandList"
import type { Cause } from "@logbrook/core/journal/Frame"
import type { Shard } from "@logbrook/core/shard/Shard"

const forget = (shard: Shard, { topicId, logIds }: ForgetStream, cause: Cause): void => {
  const list = new CommandList()
  for (const logId of logIds) list.add(partitionActor(logId), { _tag: "DeleteLog" })
  for (const [to, { offsets }] of shard.view(GroupStates).all()) {
    if (offsets.topics.has(topicId)) list.add(to, { _tag: "ForgetStreams", topicIds: [topicId] })
  }
  list.add(catalogActor, { _tag: "ConfirmDeletion", topicId }, list.all)
  shard.askAll(list, cause)
}

/**
 * Partitions' logs, and the offsets that hang on a topic id, go with their stream, whoever deleted it; the catalog says so until
 * it is confirmed. Behind the next turn: a commit of offsets may have waited for the deletion that still knew the stream.
 */
export const forgetDeletedStreams = ({ shard }: { readonly shard: Shard }): void =>
  shard.onNotice(CatalogKind, (notice, cause) => {
    shard.ack({ acked: () => forget(shard, notice, cause) }, 0, undefined, 0)
  })
