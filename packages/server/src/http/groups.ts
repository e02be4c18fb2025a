import { isEmptyGroup, type GroupState } from "@logbrook/actors/group/groupState"
import { listOffsets } from "@logbrook/actors/group/groupOffsets"
import { actorId, nameOf } from "@logbrook/core/actor/Definition"
import type { Broker } from "../Broker.ts"
import { presentGroup } from "../tools/present.ts"
import { ApiFailure } from "./ApiFailure.ts"

const offsetsOf = ({ directory, shard }: Broker, { offsets }: GroupState) =>
  listOffsets(offsets).map(({ topicId, stream, partition, offset }) => {
    const logId = directory.byTopicId(topicId)?.logIds[partition]
    const highWatermark = logId === undefined ? null : shard.logs.log(logId).highWatermark
    // A negative offset is a client's way to say that it has none.
    const lag = highWatermark === null || offset < 0 ? null : Math.max(0, highWatermark - offset)
    return { stream, partition, offset, highWatermark, lag }
  })

const lagOf = (offsets: ReturnType<typeof offsetsOf>): number => offsets.reduce((sum, { lag }) => sum + (lag ?? 0), 0)

export const groupNames = ({ shard }: Broker): ReadonlyArray<string> =>
  shard.actors
    .ofKind("group")
    .filter((id) => {
      const state = shard.actors.peek<GroupState>(id)
      return state !== undefined && !isEmptyGroup(state)
    })
    .map(nameOf)
    .sort()

const find = ({ shard }: Broker, name: string): GroupState => {
  const state = shard.actors.peek<GroupState>(actorId("group", name))
  if (state === undefined || isEmptyGroup(state)) throw new ApiFailure("UNKNOWN_GROUP", `no group is named "${name}"`)
  return state
}

export const groupSummary = (broker: Broker, name: string) => {
  const state = find(broker, name)
  const { value, context } = state.machine
  return { group: name, state: value, members: context.members.size, lag: lagOf(offsetsOf(broker, state)) }
}

export const getGroup = (broker: Broker, name: string) => {
  const state = find(broker, name)
  const offsets = offsetsOf(broker, state)
  const { value, context } = state.machine
  const { generation } = context
  return { group: name, state: value, generation, lag: lagOf(offsets), details: presentGroup(state), offsets }
}
