import { CatalogKind } from "@logbrook/actors/catalog/CatalogProtocol"
import { GroupStates } from "@logbrook/actors/group/groupState"
import type { Cause } from "@logbrook/core/journal/Frame"
import type { Broker } from "../Broker.ts"

const forget = ({ shard, directory }: Pick<Broker, "shard" | "directory">, cause: Cause): void => {
  for (const [to, { offsets }] of shard.view(GroupStates).all()) {
    const topicIds = [...offsets.topics.keys()].filter((topicId) => directory.byTopicId(topicId) === undefined)
    if (topicIds.length > 0) shard.tell(to, { _tag: "ForgetStreams", topicIds }, cause)
  }
}

/**
 * Offsets hang on topic ids: groups forget those of a deleted stream, whoever deleted it. Looks now, since a crash may
 * have come between a deletion and this, and after each deletion behind the next turn: a commit may have waited for it
 * that still knew the stream.
 */
export const forgetDeletedStreams = (broker: Pick<Broker, "shard" | "directory">): void => {
  const { shard } = broker
  forget(broker, { origin: "start" })
  shard.observe(CatalogKind, (_actor, event, seq) => {
    if (event._tag !== "StreamDeleted") return
    shard.ack({ acked: () => forget(broker, { seq }) }, 0, undefined, 0)
  })
}
